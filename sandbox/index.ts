/**
 * The only face of the sandbox that the server and the graders see: engines, labs and lab hosts.
 * Nothing here says that the outer engine is Docker; `sandbox/docker` is one engine among others.
 */
import type { Duplex, Readable, Writable } from "node:stream";
import type { HostFacts, LabFacts } from "./facts/schema.ts";
import type { Topology } from "./topologies/index.ts";

/** How strongly an engine keeps a lab apart from the machine, best first. */
export type IsolationRung =
  | "runtime" // sysbox or kata, where the engine lists one
  | "userns" // an engine with user namespace remapping
  | "rootless" // a rootless engine
  | "privileged"; // one user on their own machine only

/**
 * Whether labs reach the world outside. `none`: their gateway answers in its stead. `nat`: they do, but never the
 * machine that serves them, other labs, private networks or a cloud's metadata.
 */
export type Egress = "none" | "nat";

/** What an engine is, in words for an operator. */
export interface EngineDescription {
  /** Short name, for example `managed docker engine` or `docker engine at unix:///var/run/docker.sock`. */
  readonly name: string;
  readonly version: string;
  readonly isolation: IsolationRung;
  /** One sentence on what that rung keeps out. */
  readonly isolationMeaning: string;
  /** What starts the labs' containers, as the engine names it: `runc 1.1.5+ds1`. */
  readonly runtime: string;
  /** Cgroup hierarchy that lab hosts see. */
  readonly cgroupVersion: 1 | 2;
}

/** Steps of a long job, told while it runs. */
export type ProgressListener = (step: { readonly title: string; readonly detail?: string }) => void;

export interface LabRequest {
  /** Name of a topology in `sandbox/topologies`, which is also the lesson's name: `iptables`. */
  readonly topology: string;
  /** Readable id to use instead of a generated one: `[a-z0-9][a-z0-9-]{0,30}`. */
  readonly name?: string;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** `starting` is never handed out as usable; `broken` says why in `problem`. */
export type LabState = "starting" | "running" | "stopped" | "broken";

export interface LabSummary {
  readonly id: string;
  /** The topology's name. */
  readonly lab: string;
  readonly state: LabState;
  readonly problem?: string;
  /** Unix time, milliseconds. */
  readonly createdAtMs: number;
  readonly hosts: readonly { readonly name: string }[];
}

export interface Lab extends LabSummary {
  /** Without a name: the lab's first host. Throws `SandboxError` `host-not-found`. */
  host(name?: string): LabHost;
  /**
   * One picture of all its machines, each collected in one pass by the trusted hand. Where the engine in the lab does
   * not answer, or answers nonsense, the kernel's part is whole all the same, and `missing` says why the rest is not.
   * Rejects with `SandboxError` where a machine does not run, or the trusted hand does not answer.
   */
  facts(options?: {
    /** Of this machine alone. */
    readonly host?: string;
    readonly signal?: AbortSignal;
  }): Promise<LabFacts>;
  /**
   * What is remembered of the lab's past: when each mark was made, Unix time in milliseconds. Marks lie with the engine,
   * out of the lab's reach; every process sees the same ones, a stopped lab keeps them, and a reset lab has none.
   */
  marks(): Promise<Readonly<Record<string, number>>>;
  /** Makes a mark, 1 to 180 bytes; one that is there stays as it is. At most 256 in a lab: `probe-failed`. */
  mark(name: string): Promise<void>;
}

/** A command line that a PTY spawns to get a shell on a lab host. */
export interface PtyCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface ExecOptions {
  readonly stdin?: Readable;
  readonly stdout?: Writable;
  readonly stderr?: Writable;
  readonly env?: Readonly<Record<string, string>>;
  readonly workdir?: string;
  readonly signal?: AbortSignal;
}

export interface CapturedOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LabHost {
  readonly labId: string;
  readonly name: string;
  /** Runs a command as root on the lab host and resolves with its exit code. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<number>;
  /** The same, with the output collected (at most 16 MiB of each stream). */
  capture(
    argv: readonly string[],
    options?: Omit<ExecOptions, "stdout" | "stderr"> & { readonly input?: string },
  ): Promise<CapturedOutput>;
  /**
   * Command line for a login shell in a PTY.
   * `terminalId` (`[a-z0-9-]{1,40}`) names the shell on the lab host, so that `endShell` finds it and all its children.
   */
  shellCommand(options: { readonly terminalId: string }): PtyCommand;
  /** Ends a shell started by `shellCommand` and everything that it left behind. Idempotent. */
  endShell(terminalId: string): Promise<void>;
  /**
   * Connects to a TCP port of the lab host as a client outside of it would: from the gateway of its network, by its
   * address there, through its firewall. Throws `SandboxError`: `port-closed` where nothing listens, `port-silent`
   * where nothing answers within `timeoutMs` (default 5000), `lab-broken`.
   */
  connect(options: {
    readonly port: number;
    readonly timeoutMs?: number;
    readonly signal?: AbortSignal;
  }): Promise<Duplex>;
  /** A connection to the inner Docker engine's API. It is the student's to break: every answer is a claim. */
  innerEngine(): InnerEngine;
  /** Trusted probes from outside the lab's mount namespace. */
  hand(): TrustedHand;
  /** This machine's part of `Lab.facts`. */
  facts(options?: { readonly signal?: AbortSignal }): Promise<HostFacts>;
  /**
   * An image of the course in the inner engine by its id (`sha256:…`), whatever bears its name there by
   * now. Where the student removed it, it is loaded again under no name; whoever asked removes it then.
   */
  trustedImage(name: string): Promise<{ readonly id: string; readonly loaded: boolean }>;
}

export interface InnerEngineRequest {
  readonly method?: "GET" | "POST" | "PUT" | "DELETE";
  /** Path with the query, without the API version: `/containers/json?all=1`. */
  readonly path: string;
  readonly body?: unknown;
  /** Default 5000. On expiry: `SandboxError` `inner-engine-timeout`. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Thin client of the Docker Engine API v1.41 of a lab host's own engine. */
export interface InnerEngine {
  /** Status and parsed JSON body (text where the body is no JSON). Any HTTP status resolves. */
  request(
    request: InnerEngineRequest,
  ): Promise<{ readonly status: number; readonly body: unknown }>;
  /** A raw connection to the engine's socket, for streaming uses such as image load. */
  dial(): Promise<Duplex>;
}

/** Names a network namespace on a lab host. */
export type NamespaceRef =
  | { readonly kind: "host" }
  /** A process id as the *lab host* counts it, as its engine reports for a container. */
  | { readonly kind: "pid"; readonly pid: number }
  /** As `ip netns list` on the lab host shows it. */
  | { readonly kind: "named"; readonly name: string }
  /** The gateway of the lab's networks: outside of every host. */
  | { readonly kind: "outside" };

export interface PingProbe {
  /** Where the echo requests leave from. */
  readonly from: NamespaceRef;
  /** Where the requests must be seen arriving. */
  readonly target: NamespaceRef;
  /** Name of the lab host that the target is on, where it is another one. */
  readonly targetHost?: string;
  /** IPv4 address to ping. */
  readonly address: string;
  /** Where VXLAN packets that carry the requests are looked for as well. */
  readonly underlay?: NamespaceRef;
  /** Default 8. */
  readonly count?: number;
  /** Default 100. */
  readonly intervalMs?: number;
  /** How long to wait for the last reply. Default 1000. */
  readonly lastReplyWaitMs?: number;
}

export interface PingResult {
  readonly sent: number;
  /** Requests with this probe's nonce seen arriving inside the target namespace, addressed to `address`. */
  readonly arrived: number;
  /** Replies with the nonce seen leaving the target namespace from `address`. */
  readonly answeredByTarget: number;
  /** Replies with the nonce that came back to the sender from `address`. */
  readonly received: number;
  /** Source addresses of the requests that arrived. */
  readonly sources: readonly string[];
  /** Requests seen on the underlay inside VXLAN (UDP 4789), by VNI. */
  readonly vxlan: Readonly<Record<string, number>>;
  /** ICMP errors that came back, in words: `Destination Host Unreachable`. */
  readonly icmpErrors: readonly string[];
  /** Round trip of each reply, milliseconds, in order of sequence. */
  readonly roundTripsMs: readonly number[];
  /** errno name where sending itself failed: `ENETUNREACH`. */
  readonly sendError?: string;
}

/** Where a probe starts, and where it must be seen arriving. */
interface Aim {
  readonly from: NamespaceRef;
  /** Where what is sent must be seen arriving; without, nothing is watched. */
  readonly target?: NamespaceRef;
  /** Name of the lab host that the target is on, where it is another one. */
  readonly targetHost?: string;
}

/** What of a probe came into its target's own namespace, by a nonce that only the probe knows. */
interface Arrival {
  readonly arrived: boolean;
  /** Source address that it had there. */
  readonly from: string | null;
  /** Port that its packets had there, answered or not. */
  readonly reachedPort: number | null;
}

export interface TcpProbe extends Aim {
  /** IPv4 address. */
  readonly address: string;
  readonly port: number;
  /** For the connection, and again for what is sent to arrive. Default 1500. */
  readonly waitMs?: number;
}

/** `arrived` is of what was sent over the connection: a proxy that takes it and passes nothing on is no arrival. */
export interface TcpResult extends Arrival {
  readonly connected: boolean;
  /** Why not: `timeout`, `Connection refused`. */
  readonly error?: string;
}

export interface HttpProbe extends TcpProbe {
  /** Default `/`. */
  readonly path?: string;
  /** Header `Host`; without: address and port. */
  readonly host?: string;
}

export interface HttpResult extends TcpResult {
  /** Null where no HTTP answer came; `error` says why. */
  readonly status: number | null;
  /** Names in lower case. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** At most 16 KiB. */
  readonly body: string;
}

export interface UdpProbe extends TcpProbe {}

export interface UdpResult extends Arrival {
  /** Something came back from there. */
  readonly answered: boolean;
  readonly answer: string;
  /** Why nothing could be sent, or that nobody listens: `Connection refused`. */
  readonly error?: string;
}

export interface DnsProbe extends Aim {
  /** Address of the name server, as seen from there. */
  readonly server: string;
  readonly name: string;
  /** Default 1500. */
  readonly waitMs?: number;
}

export interface DnsResult extends Arrival {
  readonly answered: boolean;
  /** Response code: 0 no error, 3 no such name. */
  readonly code?: number;
  readonly addresses: readonly string[];
  readonly error?: string;
}

/** What may stand in the way of looking at a path of a lab, or of writing there. */
export type FileProblem =
  | "not-found"
  /** A symbolic link, there or on the way. */
  | "link"
  /** On another file system than the lab's own disk. */
  | "elsewhere"
  | "directory"
  /** A FIFO, a socket or a device. */
  | "no-file"
  /** Larger than what was asked for; `detail` has its bytes. */
  | "too-big"
  /** No UTF-8 text. */
  | "binary"
  /** Another text than the writer knows of; `detail` has its version. */
  | "changed"
  | "name-too-long"
  | "disk-full"
  | "read-only"
  | "refused"
  /** Anything else; `detail` has the kernel's words. */
  | "failed";

export interface FolderEntry {
  readonly name: string;
  readonly kind: "directory" | "file" | "link" | "other";
  readonly bytes: number;
}

/** What lies at a path of a lab host. */
export type FileLook =
  /** `more`: there are more than these 1000. */
  | {
      readonly kind: "directory";
      readonly entries: readonly FolderEntry[];
      readonly more: boolean;
    }
  /** `version` stands for this very text. */
  | {
      readonly kind: "file";
      readonly text: string;
      readonly version: string;
      readonly bytes: number;
    }
  | { readonly problem: FileProblem; readonly detail?: string };

export type FileWritten =
  | { readonly version: string }
  | { readonly problem: FileProblem; readonly detail?: string };

/** `problem` says in words why there is no list. */
export type FolderResult = { readonly names: readonly string[] } | { readonly problem: string };

/** `problem` says in words why there is no text. */
export type FileResult = { readonly text: string } | { readonly problem: string };

export interface RedisProbe {
  readonly from: NamespaceRef;
  /** IPv4 address. */
  readonly address: string;
  readonly port: number;
  readonly tls?: boolean;
  /** Words of each command, in order: `["SMEMBERS", "rq:workers"]`. */
  readonly commands: readonly (readonly string[])[];
  /** For all of it. Default 3000. */
  readonly waitMs?: number;
}

/** What a Redis answers: text, numbers, lists of them, nothing, or an error of its own. */
export type RedisReply =
  | string
  | number
  | null
  | { readonly error: string }
  | readonly RedisReply[];

export interface ProcessesProbe {
  /** `172.18.0.2:6379`: each process is told with its own ends of established connections to there. */
  readonly remote?: string;
  /** Each process is told with the names of memfd files that begin so and that it has open: memfd_create(2). */
  readonly marks?: string;
}

/** A process of a lab host, in a container or not, as the kernel has it. */
export interface ProcessFacts {
  /** By the lab's numbers. */
  readonly pid: number;
  readonly parent: number;
  /** As it numbers itself, in its own pid namespace. */
  readonly ownPid: number;
  /** One letter of proc_pid_stat(5): `R`, `S`, `T` stopped, `Z` ended. */
  readonly state: string;
  /** By a control group around it, as `docker pause` does. */
  readonly frozen: boolean;
  readonly command: readonly string[];
  /** Processor time that it has used. */
  readonly processorMs: number;
  readonly ageMs: number;
  /** Inode of its network namespace; null where it has ended. */
  readonly namespace: number | null;
  /** Id of the container whose control group it is in. */
  readonly container: string | null;
  /** Its ends of connections to `remote`: `172.18.0.5:43210`. */
  readonly connections: readonly string[];
  readonly marks: readonly string[];
}

/**
 * What has changed on a lab host: links, addresses, routes (`network`), the packet filter's rules (`filter`), what the
 * engine told (`engine`), mounts, files under /root and names of namespaces (`files`), who listens (`sockets`).
 * A reason to look, never a fact.
 */
export type LabChange = "network" | "filter" | "engine" | "mounts" | "files" | "sockets";

/**
 * The hand that probes, as many probes side by side as are asked for: runs its own binaries from its own root
 * filesystem, enters only network namespaces of the lab, and answers within its time limit or throws `SandboxError` `probe-timeout`.
 */
export interface TrustedHand {
  ping(probe: PingProbe, options?: { readonly signal?: AbortSignal }): Promise<PingResult>;
  tcp(probe: TcpProbe, options?: { readonly signal?: AbortSignal }): Promise<TcpResult>;
  /** Asks for a page by HTTP/1.0. */
  get(probe: HttpProbe, options?: { readonly signal?: AbortSignal }): Promise<HttpResult>;
  udp(probe: UdpProbe, options?: { readonly signal?: AbortSignal }): Promise<UdpResult>;
  /** Asks for the IPv4 addresses of a name. */
  dns(probe: DnsProbe, options?: { readonly signal?: AbortSignal }): Promise<DnsResult>;
  /** Asks a Redis over a connection of its own; resolves with an answer to each command. */
  redis(
    probe: RedisProbe,
    options?: { readonly signal?: AbortSignal },
  ): Promise<readonly RedisReply[]>;
  processes(
    probe?: ProcessesProbe,
    options?: { readonly signal?: AbortSignal },
  ): Promise<readonly ProcessFacts[]>;
  /** The environment that a process of the lab was started with, by name. */
  environment(
    pid: number,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Readonly<Record<string, string>>>;
  /** Kinds of links that the engine's kernel can make, of `ipvlan`, `macvlan`, `vxlan`, `vlan`. */
  features(options?: { readonly signal?: AbortSignal }): Promise<readonly string[]>;
  /**
   * Reads a regular file of the lab host, or, with `pid`, as the process of that number sees it. At most `maxBytes`
   * (default 64 KiB). No link leads out of the lab, nothing that could block is opened.
   */
  readFile(
    path: string,
    options?: { readonly pid?: number; readonly maxBytes?: number; readonly signal?: AbortSignal },
  ): Promise<FileResult>;
  /**
   * What is mounted where a process of the lab is, as the kernel has it (proc_pid_mountinfo(5)), whatever lies over
   * `/proc` in the lab. At most 64 KiB.
   */
  mounts(pid: number, options?: { readonly signal?: AbortSignal }): Promise<FileResult>;
  /**
   * Tells, until `signal` aborts, that something has changed on the lab host; the first time, with an empty list, that
   * it listens. What comes within 50 ms is told at once. Costs next to nothing while nothing changes. Throws
   * `SandboxError`: `lab-broken` where the host ends, `probe-failed` where the connection does.
   */
  changes(options: { readonly signal: AbortSignal }): AsyncIterable<readonly LabChange[]>;
  /**
   * What lies at an absolute path on the disk of the lab host, with the rights of its root. No link is followed, no
   * other file system entered, nothing opened that could block. Texts have at most `maxBytes`.
   */
  look(path: string, options: { readonly maxBytes: number }): Promise<FileLook>;
  /**
   * Writes a text file in one step, keeping mode and owner, and makes missing folders. `version` as the writer knows
   * it; `null`: there is no such file yet. Where that is not so, nothing is written.
   */
  write(file: {
    readonly path: string;
    readonly text: string;
    readonly version: string | null;
    readonly maxBytes: number;
  }): Promise<FileWritten>;
  /** A text that changes with each change of a file, by path; `null` where nothing lies there. */
  fileStates(paths: readonly string[]): Promise<Readonly<Record<string, string | null>>>;
  /** Names in a folder, at most 1000; the same rules as for `readFile`. */
  listFolder(
    path: string,
    options?: { readonly pid?: number; readonly signal?: AbortSignal },
  ): Promise<FolderResult>;
}

/** Opens an engine, and everything below. `await using` closes its connections; labs stay. */
export interface SandboxEngine extends AsyncDisposable {
  /** The labs that `up` knows, by name: the course's and those of plug-ins. */
  readonly topologies: Readonly<Record<string, Topology>>;
  describe(): Promise<EngineDescription>;
  /** Builds what the first lab would otherwise wait for. */
  prepare(onProgress?: ProgressListener): Promise<void>;
  /** Throws `SandboxError`: `topology-not-found`, `name-taken`, `name-invalid`, `lab-start-failed`. */
  up(request: LabRequest): Promise<Lab>;
  list(): Promise<readonly LabSummary[]>;
  /** Throws `SandboxError` `lab-not-found`, with the nearest id in the message. */
  find(id: string): Promise<Lab>;
  /** Brings back a lab that is `stopped`, with its files; resolves at once where it runs. */
  start(id: string): Promise<Lab>;
  /** Ends what runs in a lab and keeps its files. */
  stop(id: string): Promise<void>;
  /** Back to the start state: same id, fresh hosts. */
  reset(id: string, options?: { readonly onProgress?: ProgressListener }): Promise<Lab>;
  /** Removes the lab and everything it owns. Idempotent only for labs that exist. */
  down(id: string): Promise<void>;
  /** Sees to it that so many ready labs wait for whoever asks next for that topology, or for one like it. */
  keepWarm(topology: string, count: number): Promise<void>;
  /** What the engine's machine has left. */
  room(): Promise<Room>;
  /**
   * Removes what no lab owns and is older than `minimumAgeMs` (default five minutes): half-made labs, wires,
   * disks. Resolves with what it removed, in words.
   */
  sweep(minimumAgeMs?: number): Promise<readonly string[]>;
}

/** What is left on an engine's machine, in bytes. */
export interface Room {
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

export type { SandboxErrorCode } from "./errors.ts";
export { PluginError, SandboxError } from "./errors.ts";
export type {
  ContainerFacts,
  FilterRule,
  HostFacts,
  LabFacts,
  LinkFacts,
  MissingFacts,
  NamespaceFacts,
  NetworkFacts,
} from "./facts/schema.ts";
export { type Plugin, readPlugins, withTopologies } from "./plugins.ts";
export { type Topology, topologies } from "./topologies/index.ts";

import { spawn } from "node:child_process";
import { Duplex, PassThrough, Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type Dockerode from "dockerode";
import { abortable } from "../abortable.ts";
import { SandboxError } from "../errors.ts";
import { readHost, type ToldHost } from "../facts/read.ts";
import type {
  CapturedOutput,
  DnsResult,
  Egress,
  ExecOptions,
  FileLook,
  FileResult,
  FileWritten,
  HostFacts,
  HttpResult,
  InnerEngine,
  InnerEngineRequest,
  LabChange,
  LabHost,
  NamespaceRef,
  PingResult,
  ProcessFacts,
  PtyCommand,
  TcpResult,
  TrustedHand,
  UdpResult,
} from "../index.ts";
import type { Topology } from "../topologies/index.ts";
import { wiring } from "./containers.ts";
import { ConnectError, type Relay } from "./relay.ts";
import type { HandSession } from "./steward.ts";

/** Of a host's disk: its files, and all that its engine keeps. */
const DISK_BYTES = 4 * 2 ** 30;
const PREPARE_TIMEOUT_MS = 20_000;
const FACTS_TIMEOUT_MS = 12_000;
const PROBE_GRACE_MS = 5000;
const CAPTURE_LIMIT_BYTES = 16 << 20;
/** Engines differ in what they say of a command that is not there; a shell says 127, or 126. */
const SHELL = ["/bin/sh", "-c", 'exec "$@"', "sh"];

/** The namespaces of a probe, with what else it says of itself. */
interface Aim {
  readonly from: NamespaceRef;
  readonly target?: NamespaceRef;
  readonly targetHost?: string;
  readonly underlay?: NamespaceRef;
}

/** What a lab host needs of its engine. */
export interface HostContext {
  readonly docker: Dockerode;
  /** As `DOCKER_HOST` takes it. */
  readonly address: string;
  hand(): Promise<HandSession>;
  steward(): Promise<string>;
  /** Of the lab with that key. */
  relay(key: string): Promise<Relay>;
}

/** Collects at most `CAPTURE_LIMIT_BYTES`; what comes after is read and dropped. */
class Collector extends Writable {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const rest = chunk.subarray(0, CAPTURE_LIMIT_BYTES - this.#bytes);
    this.#bytes += rest.length;
    if (rest.length > 0) this.#chunks.push(rest);
    done();
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString("utf8");
  }
}

const drain = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });

/** Splits the engine's stream of stdout and stderr frames: [stream, 0, 0, 0, length (4, big endian)]. */
async function demultiplex(stream: Readable, stdout: Writable, stderr: Writable): Promise<void> {
  let rest = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 8 && rest.length >= 8 + rest.readUInt32BE(4)) {
      const end = 8 + rest.readUInt32BE(4);
      const target = rest[0] === 2 ? stderr : stdout;
      if (!target.write(rest.subarray(8, end))) {
        await new Promise((resolve) => target.once("drain", resolve));
      }
      rest = rest.subarray(end);
    }
  }
}

export class DockerLabHost implements LabHost {
  readonly labId: string;
  readonly name: string;
  readonly kind: "host" | "neighbour";
  readonly #place: {
    readonly key: string;
    readonly address: string | undefined;
    sibling(name: string): DockerLabHost;
  };
  readonly #egress: Egress;
  readonly #containerId: string;
  readonly #context: HostContext;
  #init: Promise<number> | undefined;

  constructor(
    place: {
      readonly labId: string;
      readonly name: string;
      readonly kind: "host" | "neighbour";
      readonly egress: Egress;
      /** Its id. */
      readonly container: string;
      /** Of its lab. */
      readonly key: string;
      /** On the first of its networks; `undefined` where another version of Patchbay made the lab. */
      readonly address: string | undefined;
      /** Another machine of the lab, by its name. */
      sibling(name: string): DockerLabHost;
    },
    context: HostContext,
  ) {
    this.labId = place.labId;
    this.name = place.name;
    this.kind = place.kind;
    this.#place = place;
    this.#egress = place.egress;
    this.#containerId = place.container;
    this.#context = context;
  }

  /** Pid of the host's first process as the outer engine's machine counts it. */
  #outerInit(): Promise<number> {
    this.#init ??= this.#context.docker
      .getContainer(this.#containerId)
      .inspect()
      .then(({ State }) => {
        if (State.Running) return State.Pid;
        const what = `Lab host ${this.name} of ${this.labId} is ${State.Status}, not running.`;
        throw new SandboxError("lab-broken", `${what} Run: patchbay lab reset ${this.labId}`);
      })
      .catch((error) => {
        this.#init = undefined;
        if (error.statusCode !== 404) throw error;
        const what = `Lab host ${this.name} of ${this.labId} is gone: the lab was ended or reset.`;
        throw new SandboxError("lab-broken", what, { cause: error });
      });
    return this.#init;
  }

  async #ask<T>(op: string, request: object, timeoutMs: number, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const ask = async () => {
      const [init, hand] = await Promise.all([this.#outerInit(), this.#context.hand()]);
      return hand.ask(op, init, { ...request, container: this.#containerId }, timeoutMs);
    };
    const answered = ask().catch((error) => {
      if (!(error instanceof SandboxError) || error.code !== "lab-broken") throw error;
      // It was started again since, or the engine knows better why it does not run.
      this.#init = undefined;
      return ask();
    }) as Promise<T>;
    // The hand ends the work at its time limit; the caller need not wait for that.
    return signal === undefined ? answered : abortable(answered, signal);
  }

  async #asTarget(): Promise<object> {
    return { targetInit: await this.#outerInit(), targetContainer: this.#containerId };
  }

  async exec(argv: readonly string[], options: ExecOptions = {}): Promise<number> {
    await this.#outerInit();
    const { stdin, stdout = drain(), stderr = drain(), env = {}, workdir = "/root" } = options;
    const exec = await this.#context.docker.getContainer(this.#containerId).exec({
      Cmd: [...SHELL, ...argv],
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      WorkingDir: workdir,
      AttachStdin: stdin !== undefined,
      AttachStdout: true,
      AttachStderr: true,
    });
    const stop = async () => {
      const { Pid, Running } = await exec.inspect();
      if (Running) await this.#ask("kill", { session: Pid }, 5000);
    };
    const onAbort = () => {
      stop().catch((error) => stderr.write(`The command could not be ended: ${error.message}\n`));
    };
    try {
      const stream = await exec.start({ hijack: true, stdin: stdin !== undefined });
      options.signal?.addEventListener("abort", onAbort, { once: true });
      if (options.signal?.aborted) onAbort();
      // A command that ends before it has read its input closes the stream: nobody's error.
      stream.on("error", () => undefined);
      stdin?.pipe(stream);
      await demultiplex(stream, stdout, stderr);
      stdin?.unpipe(stream);
      stream.destroy();
      options.signal?.throwIfAborted();
      return (await exec.inspect()).ExitCode ?? 1;
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
    }
  }

  async capture(
    argv: readonly string[],
    options: Omit<ExecOptions, "stdout" | "stderr"> & { readonly input?: string } = {},
  ): Promise<CapturedOutput> {
    const { input, ...rest } = options;
    const [stdout, stderr] = [new Collector(), new Collector()];
    const stdin = input === undefined ? rest.stdin : Readable.from([Buffer.from(input)]);
    const exitCode = await this.exec(argv, { ...rest, ...(stdin && { stdin }), stdout, stderr });
    for (const collector of [stdout, stderr]) {
      collector.end();
      await finished(collector);
    }
    return { exitCode, stdout: stdout.text, stderr: stderr.text };
  }

  shellCommand({ terminalId }: { readonly terminalId: string }): PtyCommand {
    const shell = ["/usr/lib/patchbay/login-shell", terminalId];
    const variables = ["--env", "TERM=xterm-256color", "--env", "COLORTERM=truecolor"];
    return {
      file: "docker",
      args: [
        ...["--host", this.#context.address, "exec", "--interactive", "--tty"],
        ...[...variables, this.#containerId, ...shell],
      ],
      env: {},
    };
  }

  async endShell(terminalId: string): Promise<void> {
    await this.exec(["/usr/lib/patchbay/end-shell", terminalId]);
  }

  async connect({
    port,
    timeoutMs = 5000,
    signal,
  }: {
    readonly port: number;
    readonly timeoutMs?: number;
    readonly signal?: AbortSignal;
  }): Promise<Duplex> {
    const { key, address } = this.#place;
    if (address === undefined) {
      const why = `Another version of Patchbay made lab ${this.labId}.`;
      throw new SandboxError("lab-broken", `${why} Run: patchbay lab reset ${this.labId}`);
    }
    await this.#outerInit();
    const relay = await this.#context.relay(key);
    try {
      return await relay.connect({ address, port, timeoutMs }, signal);
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error;
      const place = `port ${port} of ${this.name}`;
      if (error.code === "ECONNREFUSED") {
        throw new SandboxError("port-closed", `Nothing listens on ${place}.`, { cause: error });
      }
      const why = `There is no answer from ${place} (${error.code}).`;
      throw new SandboxError("port-silent", why, { cause: error });
    }
  }

  innerEngine(): InnerEngine {
    return {
      request: async ({ method = "GET", path, body, timeoutMs = 5000, signal }) => {
        const request = { method, path, ...(body === undefined ? {} : { body }) };
        return this.#ask("http", request, timeoutMs, signal);
      },
      dial: async () => {
        const [init, steward] = await Promise.all([this.#outerInit(), this.#context.steward()]);
        const entry = ["python3", "/usr/lib/patchbay/hand", "dial"];
        const hand = [...entry, String(init), this.#containerId];
        const args = ["--host", this.#context.address, "exec", "--interactive", steward, ...hand];
        const child = spawn("docker", args, { stdio: ["pipe", "pipe", "inherit"] });
        const connection = Duplex.from({
          writable: child.stdin,
          readable: child.stdout.pipe(new PassThrough()),
        });
        connection.on("close", () => child.kill());
        return connection;
      },
    };
  }

  hand(): TrustedHand {
    return {
      ping: (
        { count = 8, intervalMs = 100, lastReplyWaitMs = 1000, ...probe },
        { signal } = {},
      ) => {
        const request = { ...probe, count, intervalMs, lastReplyWaitMs };
        return this.#probe<PingResult>(
          "ping",
          request,
          count * intervalMs + lastReplyWaitMs,
          signal,
        );
      },
      tcp: ({ waitMs = 1500, ...probe }, { signal } = {}) =>
        this.#probe<TcpResult>("tcp", { ...probe, waitMs }, 2 * waitMs, signal),
      get: ({ waitMs = 1500, path = "/", ...probe }, { signal } = {}) =>
        this.#probe<HttpResult>("http-get", { ...probe, waitMs, path }, 2 * waitMs, signal),
      udp: ({ waitMs = 1500, ...probe }, { signal } = {}) =>
        this.#probe<UdpResult>("udp", { ...probe, waitMs }, waitMs, signal),
      dns: ({ waitMs = 1500, ...probe }, { signal } = {}) =>
        this.#probe<DnsResult>("dns", { ...probe, waitMs }, waitMs, signal),
      redis: ({ waitMs = 3000, tls = false, ...probe }, { signal } = {}) =>
        this.#ask("redis", { ...probe, waitMs, tls }, waitMs + 3000, signal),
      processes: (probe = {}, { signal } = {}) =>
        this.#ask<ProcessFacts[]>("processes", probe, 10_000, signal),
      environment: (pid, { signal } = {}) => this.#ask("environment", { pid }, 5000, signal),
      features: ({ signal } = {}) => this.#ask<string[]>("features", {}, 5000, signal),
      listFolder: (path, { pid, signal } = {}) => this.#ask("list", { path, pid }, 5000, signal),
      readFile: (path, { pid, maxBytes = 64 << 10, signal } = {}) =>
        this.#ask<FileResult>("read", { path, pid, maxBytes }, 5000, signal),
      mounts: (pid, { signal } = {}) =>
        this.#ask<FileResult>("mounts", { pid, maxBytes: 64 << 10 }, 5000, signal),
      changes: ({ signal }) => this.#changes(signal),
      look: (path, { maxBytes }) => this.#ask<FileLook>("look", { path, maxBytes }, 5000),
      write: (file) => this.#ask<FileWritten>("write", file, 10_000),
      fileStates: (paths) => this.#ask<Record<string, string | null>>("states", { paths }, 5000),
    };
  }

  async facts({ signal }: { readonly signal?: AbortSignal } = {}): Promise<HostFacts> {
    const request = { engine: this.kind === "host" };
    return readHost(
      this.name,
      await this.#ask<ToldHost>("facts", request, FACTS_TIMEOUT_MS, signal),
    );
  }

  async *#changes(signal: AbortSignal): AsyncGenerator<readonly LabChange[]> {
    const [init, hand] = await Promise.all([this.#outerInit(), this.#context.hand()]);
    for await (const event of hand.stream(
      "changes",
      init,
      { container: this.#containerId },
      signal,
    )) {
      yield (event as { readonly changed: readonly LabChange[] }).changed;
    }
  }

  /** `waitMs` is what the probe itself may wait for; what comes on top is for a busy machine. */
  async #probe<Result>(
    op: string,
    probe: Aim & Readonly<Record<string, unknown>>,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<Result> {
    const { key, sibling } = this.#place;
    const placed = (reference: NamespaceRef | undefined) =>
      reference?.kind === "outside" ? { ...reference, key } : reference;
    const { from, target, underlay, targetHost } = probe;
    const request = {
      ...probe,
      from: placed(from),
      target: placed(target),
      underlay: placed(underlay),
      ...(targetHost && (await sibling(targetHost).#asTarget())),
    };
    return this.#ask<Result>(op, request, waitMs + PROBE_GRACE_MS, signal);
  }

  async trustedImage(name: string): Promise<{ readonly id: string; readonly loaded: boolean }> {
    const images = await this.#ask<Record<string, string>>("images", {}, 5000);
    const id = images[name];
    if (id === undefined) {
      const known = Object.keys(images).join(", ");
      throw new SandboxError("probe-failed", `No course image "${name}". There are: ${known}.`);
    }
    const engine = this.innerEngine();
    const ask = (request: InnerEngineRequest) => engine.request(request);
    if ((await ask({ path: `/images/${id}/json` })).status === 200) return { id, loaded: false };
    // Removed by the student: brought back from the hand's own disk, under no name.
    const image = { method: "POST", path: "/images/load?quiet=1", image: name };
    const loaded = await this.#ask<{ status: number; body: unknown }>("http", image, 30_000);
    const status = typeof loaded.body === "string" ? loaded.body : JSON.stringify(loaded.body);
    const imported = status.match(/sha256:[0-9a-f]{64}/)?.[0];
    if (loaded.status === 200 && imported !== undefined) return { id: imported, loaded: true };
    throw new SandboxError("probe-failed", `The engine refused image ${name}: ${status}`);
  }

  /**
   * Gives the machine its wires and, where it is a Docker host, all else that it needs from outside: see
   * `prepare` in the hand's `hosts.py`. Idempotent.
   */
  async prepare(key: string, topology: Topology): Promise<void> {
    const { networks, machines } = wiring(topology);
    const host = machines.find(({ name }) => name === this.name);
    const egress = this.#egress;
    const request = { key, networks, machines, host, egress, diskBytes: DISK_BYTES };
    await this.#ask(this.kind === "host" ? "prepare" : "wire", request, PREPARE_TIMEOUT_MS);
  }
}

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type Dockerode from "dockerode";
import { didYouMean } from "../did-you-mean.ts";
import { SandboxError } from "../errors.ts";
import type {
  Egress,
  EngineDescription,
  Lab,
  LabRequest,
  LabSummary,
  ProgressListener,
  Room,
  SandboxEngine,
} from "../index.ts";
import { setupScript } from "../topologies/files.ts";
import type { Machine, Topology } from "../topologies/index.ts";
import { engineClient } from "./address.ts";
import { dockerCommand } from "./command.ts";
import { containerName, type Holder, labels, shapeOf } from "./containers.ts";
import { chosenRelease, courseRelease, ensureHostImage, type HostImage } from "./host-image.ts";
import { isNeeded } from "./image-catalogue.ts";
import { isolationMeanings, isolationOf } from "./isolation.ts";
import { DockerLab } from "./lab.ts";
import type { DockerLabHost, HostContext } from "./lab-host.ts";
import { nestedEngine } from "./nested-engine.ts";
import { Relay } from "./relay.ts";
import { ensureSteward, HandSession } from "./steward.ts";

const READY_TIMEOUT_MS = 60_000;
/** A lab under construction for longer than this has lost its builder. */
const HALF_MADE_AGE_MS = 5 * 60_000;
const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,30}$/;
const GIB = 2 ** 30;

/** What one lab host may use; Docker refuses more processors than the machine has. */
const hostLimits = ({ memoryBytes, processors }: Topology["limits"], available: number) => ({
  Memory: memoryBytes,
  // Memory and swap together: no swap.
  MemorySwap: memoryBytes,
  NanoCpus: Math.min(processors, available) * 1e9,
  PidsLimit: 2000,
});

/** A neighbour runs a shell and a few network tools. */
const neighbourLimits = { Memory: GIB / 8, MemorySwap: GIB / 8, NanoCpus: 0.5e9, PidsLimit: 200 };

/** Stands for no lab in particular; no lab has this name. */
const NO_LAB = "";

const statusOf = (error: unknown) => (error as { statusCode?: number }).statusCode;

const taken = (id: string) =>
  new SandboxError(
    "name-taken",
    `There is a lab "${id}" already. Take another name, or end it: patchbay lab down ${id}`,
  );

const hostOptions = (
  limits: Topology["limits"],
  processors: number,
): Dockerode.ContainerCreateOptions => ({
  // Under the lab's disk, and in its stead where the sidecar can't give one.
  Volumes: { "/disk": {} },
  HostConfig: {
    ...nestedEngine,
    ...hostLimits(limits, processors),
    ReadonlyRootfs: true,
    Dns: ["10.77.0.1"],
  },
});

const neighbourOptions: Dockerode.ContainerCreateOptions = {
  Entrypoint: ["/usr/bin/tini", "--", "sleep", "infinity"],
  HostConfig: {
    ...neighbourLimits,
    NetworkMode: "none",
    ReadonlyRootfs: true,
    Tmpfs: { "/run": "", "/tmp": "", "/root": "" },
    LogConfig: { Type: "none", Config: {} },
    Dns: ["10.77.0.1"],
  },
};

/** Labs on one Docker engine. The labs belong to the engine: this object may come and go. */
export class DockerEngine implements SandboxEngine {
  readonly #docker: Dockerode;
  readonly #address: string;
  readonly #name: string;
  readonly topologies: Readonly<Record<string, Topology>>;
  readonly #egress: Egress;
  readonly #context: HostContext;
  readonly #closing = new AbortController();
  /** Of labs that somebody connects to, by key. */
  readonly #relays = new Map<string, Relay>();
  /** By lab. */
  readonly #images = new Map<string | undefined, Promise<HostImage>>();
  #session: Promise<{ readonly hand: HandSession; readonly steward: string }> | undefined;

  /** `address` as `DOCKER_HOST` takes it; `name` is what an operator calls this engine. */
  constructor(
    address: string,
    name: string,
    options: {
      /** Default `none`. */
      readonly egress?: Egress | undefined;
      readonly topologies: Readonly<Record<string, Topology>>;
    },
  ) {
    this.#address = address;
    this.#egress = options.egress ?? "none";
    this.topologies = options.topologies;
    this.#name = name;
    this.#docker = engineClient(address);
    this.#context = {
      docker: this.#docker,
      address,
      hand: async () => (await this.#handSession()).hand,
      steward: async () => (await this.#handSession()).steward,
      relay: (key) => this.#relay(key),
    };
  }

  async describe(): Promise<EngineDescription> {
    const [info, version] = await Promise.all([this.#docker.info(), this.#docker.version()]);
    const isolation = isolationOf(info);
    const runc = version.Components?.find(({ Name }) => Name === "runc");
    return {
      name: this.#name,
      version: info.ServerVersion,
      isolation,
      isolationMeaning: isolationMeanings[isolation],
      runtime: runc === undefined ? info.DefaultRuntime : `runc ${runc.Version}`,
      cgroupVersion: info.CgroupVersion === "2" ? 2 : 1,
    };
  }

  async prepare(onProgress: ProgressListener = () => undefined): Promise<void> {
    await this.#hostImage(undefined, onProgress);
    await this.#handSession();
  }

  async up(request: LabRequest): Promise<Lab> {
    const topology = this.topologies[request.topology];
    if (topology === undefined) {
      throw new SandboxError(
        "topology-not-found",
        didYouMean("lab", request.topology, Object.keys(this.topologies)),
      );
    }
    const id = request.name ?? `${topology.name}-${randomBytes(3).toString("hex")}`;
    if (!NAME_PATTERN.test(id)) {
      throw new SandboxError(
        "name-invalid",
        `"${id}" can't name a lab: use 1 to 31 of a-z, 0-9 and "-", starting with a letter or a digit.`,
      );
    }
    if ((await this.#labs()).some((lab) => lab.id === id)) throw taken(id);
    return this.#open({ state: "lab", topology: topology.name, id }, topology, request);
  }

  async list(): Promise<readonly LabSummary[]> {
    const labs = await this.#labs();
    return Promise.all(
      labs.map(async (lab): Promise<LabSummary> => {
        const { id, lab: name, createdAtMs, hosts, problem } = lab;
        const summary = { id, lab: name, state: lab.state, createdAtMs, hosts };
        if (lab.state !== "running")
          return problem === undefined ? summary : { ...summary, problem };
        const answers = await Promise.all(
          lab.members.map((host) =>
            this.#answers(host, 1000).catch((error) => {
              // It has ended since it was listed.
              if (error instanceof SandboxError && error.code === "lab-broken") return false;
              throw error;
            }),
          ),
        );
        if (answers.every(Boolean)) return summary;
        if (Date.now() - createdAtMs < READY_TIMEOUT_MS) return { ...summary, state: "starting" };
        return { ...summary, problem: "The Docker engine inside does not answer." };
      }),
    );
  }

  async find(id: string): Promise<Lab> {
    return this.#find(id);
  }

  async start(id: string): Promise<Lab> {
    const lab = await this.#find(id);
    if (lab.state === "running") return lab;
    const topology = lab.topology ?? this.#topologyOf(lab);
    await Promise.all(
      lab.containers
        .filter((container) => container.State !== "running")
        .map((container) => this.#docker.getContainer(container.Id).start()),
    );
    const started = await this.#find(id);
    await this.#boot(started, topology, {});
    return started;
  }

  async stop(id: string): Promise<void> {
    const lab = await this.#find(id);
    const { hand } = await this.#handSession();
    // What is frozen in a lab can't be ended.
    await this.#endRelay(lab.key);
    await hand.ask("thaw", 0, { containers: lab.containers.map((container) => container.Id) });
    await Promise.all(
      lab.containers
        .filter((container) => container.State === "running")
        .map((container) => this.#docker.getContainer(container.Id).stop()),
    );
    await hand.ask("unlink", 0, { key: lab.key });
  }

  async reset(id: string, options: { readonly onProgress?: ProgressListener } = {}): Promise<Lab> {
    const lab = await this.#find(id);
    const topology = this.#topologyOf(lab);
    await this.#remove(lab);
    return this.#open(lab.holder, topology, options);
  }

  async down(id: string): Promise<void> {
    await this.#remove(await this.#find(id));
  }

  async keepWarm(topologyName: string, count: number): Promise<void> {
    const topology = this.topologies[topologyName];
    if (topology === undefined) {
      throw new SandboxError("topology-not-found", `There is no lab "${topologyName}".`);
    }
    const { tag, missing } = await this.#hostImage(NO_LAB);
    // Whoever asks for such a lab is told why there is none.
    if (missing.some((recipe) => isNeeded(recipe, topologyName))) return;
    const shape = shapeOf(topology, tag, this.#egress);
    const waiting = await this.#warm(shape);
    const { hand } = await this.#handSession();
    for (const lab of waiting.slice(count)) {
      if (await hand.ask("claim", 0, { key: lab.key })) await this.#remove(lab);
    }
    for (let missing = count - waiting.length; missing > 0; missing -= 1) {
      const made = await this.#make(topology, {});
      await this.#handOver(made, { state: "warm" });
    }
  }

  async room(): Promise<Room> {
    const { hand } = await this.#handSession();
    return (await hand.ask("room", 0)) as Room;
  }

  async sweep(minimumAgeMs = HALF_MADE_AGE_MS): Promise<readonly string[]> {
    const labs = await this.#all();
    const { tag } = await this.#hostImage(NO_LAB);
    const current = new Set(
      Object.values(this.topologies).map((topology) => shapeOf(topology, tag, this.#egress)),
    );
    const claimed = new Set(await this.#claims(minimumAgeMs));
    const old = (createdAtMs: number) => Date.now() - createdAtMs > minimumAgeMs;
    const orphans = labs.filter(
      ({ holder, createdAtMs, shape, state, key }) =>
        (holder.state === "making" && old(createdAtMs)) ||
        // Of an older version; ended with the engine; or claimed by somebody who has crashed since.
        (holder.state === "warm" &&
          (!current.has(shape) || state !== "running" || claimed.has(key))),
    );
    for (const lab of orphans) await this.#remove(lab);
    const { hand } = await this.#handSession();
    const keys = (await this.#all()).map(({ key }) => key);
    const left = (await hand.ask("sweep", 0, { keys, minimumAgeMs })) as string[];
    return [...orphans.map(({ id, holder }) => `${holder.state} lab ${id}`), ...left];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#relays.keys()].map((key) => this.#endRelay(key)));
    const session = await this.#session?.catch(() => undefined);
    await session?.hand[Symbol.asyncDispose]();
    this.#closing.abort();
  }

  /** The image for a lab, with all that it needs; for `NO_LAB`, as it is; for `undefined`, with all that can be made. */
  async #hostImage(lab: string | undefined, onProgress?: ProgressListener): Promise<HostImage> {
    const release = chosenRelease();
    const known = this.#images.get(lab);
    const image = known ?? ensureHostImage(this.#address, { release, onProgress, lab });
    this.#images.set(lab, image);
    let isWhole = false;
    try {
      const made = await image;
      isWhole = made.missing.length === 0;
      return made;
    } finally {
      // What is missing may be made by another process, or by the next one who needs it.
      if (!isWhole) this.#images.delete(lab);
    }
  }

  /** The hand's image does not depend on what labs are made of. */
  async #stewardImage(): Promise<string> {
    if (chosenRelease() === courseRelease) return (await this.#hostImage(NO_LAB)).tag;
    return (await ensureHostImage(this.#address, { lab: NO_LAB })).tag;
  }

  /** One session per process, opened again where it was lost. */
  async #handSession(): Promise<{ readonly hand: HandSession; readonly steward: string }> {
    const before = this.#session;
    if (before !== undefined && !(await before).hand.closed) return before;
    // Whoever comes first opens the next one; the others wait for it.
    if (this.#session === before) {
      this.#session = this.#openHand().catch((error) => {
        this.#session = undefined;
        throw error;
      });
    }
    return this.#session ?? this.#handSession();
  }

  async #openHand(): Promise<{ readonly hand: HandSession; readonly steward: string }> {
    const docker = dockerCommand(this.#address);
    const { container, started } = await ensureSteward(docker, await this.#stewardImage());
    const hand = new HandSession(this.#address, container);
    const abandon = () => hand.abandon();
    this.#docker
      .getContainer(container)
      .wait({ abortSignal: this.#closing.signal })
      .then(abandon, () => this.#closing.signal.aborted || abandon());
    if (started) {
      await hand.ask("machine", 0);
      // The wires of labs that run were held by the last sidecar.
      for (const lab of await this.#all({ ...this.#context, hand: async () => hand })) {
        const topology = lab.topology ?? this.topologies[lab.lab];
        if (topology === undefined || lab.state === "stopped") continue;
        for (const machine of lab.machines) {
          // A lab that is breaking down is told by `list`; it must not keep the others from their wires.
          await machine.prepare(lab.key, topology).catch((error) => {
            if (!(error instanceof SandboxError)) throw error;
          });
        }
      }
    }
    return { hand, steward: container };
  }

  async #relay(key: string): Promise<Relay> {
    const { steward } = await this.#handSession();
    const known = this.#relays.get(key);
    if (known !== undefined && !known.closed) return known;
    for (const [other, { closed }] of this.#relays) if (closed) this.#relays.delete(other);
    const relay = new Relay(this.#address, steward, key);
    this.#relays.set(key, relay);
    return relay;
  }

  async #endRelay(key: string): Promise<void> {
    await this.#relays.get(key)?.[Symbol.asyncDispose]();
    this.#relays.delete(key);
  }

  /** Labs, warm ones and those under construction. */
  async #all(context = this.#context): Promise<DockerLab[]> {
    const filters = { label: [labels.key] };
    const containers = await this.#docker.listContainers({ all: true, filters });
    const byKey = Map.groupBy(containers, (container) => container.Labels[labels.key]);
    return [...byKey.values()]
      .map((members) => new DockerLab(members, context))
      .sort((a, b) => a.createdAtMs - b.createdAtMs || a.id.localeCompare(b.id));
  }

  async #labs(): Promise<DockerLab[]> {
    return (await this.#all()).filter(({ holder }) => holder.state === "lab");
  }

  /** The topology of a lab as it is made today; as it was made, where this process knows none of that name. */
  #topologyOf(lab: DockerLab): Topology {
    const topology = this.topologies[lab.lab] ?? lab.topology;
    if (topology !== undefined) return topology;
    const why = `Lab "${lab.id}" is of an unknown kind, "${lab.lab}".`;
    throw new SandboxError("topology-not-found", `${why} End it: patchbay lab down ${lab.id}`);
  }

  async #find(id: string): Promise<DockerLab> {
    const labs = await this.#labs();
    const lab = labs.find((candidate) => candidate.id === id);
    if (lab !== undefined) return lab;
    const ids = labs.map((candidate) => candidate.id);
    throw new SandboxError(
      "lab-not-found",
      ids.length === 0
        ? `There is no lab "${id}", nor any other. Start one: patchbay lab up iptables`
        : didYouMean("lab", id, ids),
    );
  }

  /** A lab in its start state: a warm one where there is any, else a new one. */
  async #open(
    holder: Holder,
    topology: Topology,
    request: Pick<LabRequest, "onProgress" | "signal">,
  ): Promise<Lab> {
    const { tag } = await this.#hostImage(topology.name, request.onProgress);
    const shape = shapeOf(topology, tag, this.#egress);
    for (const { key } of await this.#warm(shape)) {
      const { hand } = await this.#handSession();
      if (!(await hand.ask("claim", 0, { key }))) continue;
      const claimed = (await this.#all()).find((lab) => lab.key === key);
      if (claimed?.state !== "running") continue;
      return this.#handOver(claimed, holder).catch(async (error) => {
        await hand.ask("unclaim", 0, { key });
        throw error;
      });
    }
    const made = await this.#make(topology, request);
    return this.#handOver(made, holder).catch(async (error) => {
      await this.#remove(made);
      throw error;
    });
  }

  /** Labs of that shape that run and wait for whoever asks. */
  async #warm(shape: string): Promise<DockerLab[]> {
    const warm = (await this.#all()).filter(
      (lab) => lab.holder.state === "warm" && lab.shape === shape && lab.state === "running",
    );
    if (warm.length === 0) return [];
    const claimed = new Set(await this.#claims(0));
    return warm.filter(({ key }) => !claimed.has(key));
  }

  async #claims(minimumAgeMs: number): Promise<readonly string[]> {
    const { hand } = await this.#handSession();
    return (await hand.ask("claims", 0, { minimumAgeMs })) as string[];
  }

  /** Hands a lab over by renaming its containers, the first one, which decides, first. */
  async #handOver(lab: DockerLab, holder: Holder): Promise<DockerLab> {
    for (const container of lab.containers) {
      const machine = container.Labels[labels.machine] ?? "";
      const name = containerName(holder, lab.key, machine);
      await this.#docker
        .getContainer(container.Id)
        .rename({ name })
        .catch((error) => {
          if (statusOf(error) === 409 && holder.state === "lab") throw taken(holder.id);
          throw error;
        });
    }
    const labs = await this.#all();
    const handed = labs.find(({ key }) => key === lab.key);
    if (handed === undefined) throw new SandboxError("lab-not-found", `Lab ${lab.key} is gone.`);
    return handed;
  }

  /** Makes a lab that nobody holds yet and waits until it is ready. Leaves nothing where it fails. */
  async #make(
    topology: Topology,
    request: Pick<LabRequest, "onProgress" | "signal">,
  ): Promise<DockerLab> {
    const { onProgress, signal } = request;
    const { tag: image } = await this.#hostImage(topology.name, onProgress);
    // The session with the sidecar opens while the engine makes the containers.
    const hand = this.#handSession();
    hand.catch(() => undefined);
    const key = randomBytes(5).toString("hex");
    const processors = (await this.#docker.info()).NCPU;
    onProgress?.({ title: "Lab host", detail: topology.hosts.map((host) => host.name).join(", ") });
    const create = async (machine: Machine, kind: "host" | "neighbour", number: number) => {
      const container = await this.#docker.createContainer({
        name: containerName({ state: "making" }, key, machine.name),
        Image: image,
        Hostname: machine.name,
        Labels: {
          [labels.key]: key,
          [labels.shape]: shapeOf(topology, image, this.#egress),
          [labels.topology]: JSON.stringify(topology),
          [labels.machine]: machine.name,
          [labels.number]: String(number),
          [labels.kind]: kind,
          [labels.egress]: this.#egress,
        },
        ...(kind === "host" ? hostOptions(topology.limits, processors) : neighbourOptions),
      });
      await container.start();
    };
    try {
      signal?.throwIfAborted();
      const settled = await Promise.allSettled([
        ...topology.hosts.map((host, index) => create(host, "host", index + 1)),
        ...topology.neighbours.map((neighbour, index) =>
          create(neighbour, "neighbour", topology.hosts.length + index + 1),
        ),
      ]);
      for (const outcome of settled) if (outcome.status === "rejected") throw outcome.reason;
      await hand;
      const made = await this.#byKey(key);
      await this.#boot(made, topology, request);
      await this.#setUp(made, topology, request);
      return made;
    } catch (error) {
      const half = (await this.#all()).find((lab) => lab.key === key);
      if (half !== undefined) await this.#remove(half);
      if (signal?.aborted || error instanceof SandboxError) throw error;
      throw new SandboxError(
        "lab-start-failed",
        `The lab did not start: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  async #setUp(
    lab: DockerLab,
    topology: Topology,
    { onProgress, signal }: Pick<LabRequest, "onProgress" | "signal">,
  ): Promise<void> {
    const script = setupScript(topology);
    if (script === "") return;
    onProgress?.({ title: "What the lesson begins with" });
    const options = { input: script, ...(signal && { signal }) };
    const { exitCode, stderr } = await lab.host().capture(["bash", "-e"], options);
    if (exitCode === 0) return;
    throw new SandboxError("lab-start-failed", `The lab's set-up failed:\n${stderr.slice(-2000)}`);
  }

  async #byKey(key: string): Promise<DockerLab> {
    const found = (await this.#all()).find((lab) => lab.key === key);
    if (found !== undefined) return found;
    throw new SandboxError("lab-start-failed", "The lab's containers are gone.");
  }

  /** Prepares the machines of a lab, whose containers run, and waits for the engines inside. */
  async #boot(
    lab: DockerLab,
    topology: Topology,
    { onProgress, signal }: Pick<LabRequest, "onProgress" | "signal">,
  ): Promise<void> {
    for (const machine of lab.machines) await machine.prepare(lab.key, topology);
    onProgress?.({ title: "Docker engine inside" });
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    for (const host of lab.members) {
      while (!(await this.#answers(host, 2000))) {
        signal?.throwIfAborted();
        if (performance.now() > deadlineMs) {
          const log = await host.capture(["tail", "-n", "5", "/var/log/dockerd.log"]);
          throw new SandboxError(
            "lab-start-failed",
            `The Docker engine on ${host.name} of "${lab.id}" did not start within ${READY_TIMEOUT_MS / 1000} s. Its log ends with:\n${log.stdout}`,
          );
        }
        await sleep(20);
      }
    }
  }

  async #answers(host: DockerLabHost, timeoutMs: number): Promise<boolean> {
    try {
      return (await host.innerEngine().request({ path: "/_ping", timeoutMs })).status === 200;
    } catch (error) {
      if (error instanceof SandboxError && error.code.startsWith("inner-engine-")) return false;
      throw error;
    }
  }

  async #remove(lab: DockerLab): Promise<void> {
    await this.#endRelay(lab.key);
    const { hand } = await this.#handSession();
    const remove = async (container: string, attempts: number): Promise<void> => {
      await hand.ask("thaw", 0, { containers: [container] });
      try {
        await this.#docker.getContainer(container).remove({ force: true, v: true });
      } catch (error) {
        // Gone, or going by another hand.
        if (statusOf(error) === 404 || statusOf(error) === 409) return;
        // Somebody in the lab may have frozen something again meanwhile.
        if (attempts === 1) throw error;
        await remove(container, attempts - 1);
      }
    };
    await Promise.all(lab.containers.map(({ Id }) => remove(Id, 3)));
    await hand.ask("unlink", 0, { key: lab.key });
    await hand.ask("remove-disks", 0, { key: lab.key });
    await hand.ask("unclaim", 0, { key: lab.key });
  }
}

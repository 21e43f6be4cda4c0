import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type Dockerode from "dockerode";
import { didYouMean } from "../did-you-mean.ts";
import { SandboxError } from "../errors.ts";
import type {
  EngineDescription,
  Lab,
  LabRequest,
  LabState,
  LabSummary,
  ProgressListener,
  SandboxEngine,
} from "../index.ts";
import { type Topology, topologies } from "../topologies/index.ts";
import { engineClient } from "./address.ts";
import { dockerCommand } from "./command.ts";
import { ensureHostImage } from "./host-image.ts";
import { isolationMeanings, isolationOf } from "./isolation.ts";
import { DockerLabHost, type HostContext } from "./lab-host.ts";
import { nestedEngine } from "./nested-engine.ts";
import { ensureSteward, HandSession } from "./steward.ts";

const labels = {
  lab: "patchbay.lab",
  topology: "patchbay.topology",
  host: "patchbay.host",
  number: "patchbay.host-number",
} as const;

const READY_TIMEOUT_MS = 60_000;
const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,30}$/;
const GIB = 2 ** 30;

/** What one lab host may use; Docker refuses more processors than the machine has. */
const hostLimits = (processors: number) => ({
  Memory: 2 * GIB,
  // Memory and swap together: no swap.
  MemorySwap: 2 * GIB,
  NanoCpus: Math.min(1.5, processors) * 1e9,
  PidsLimit: 2000,
});

const statusOf = (error: unknown) => (error as { statusCode?: number }).statusCode;

function stateOf(containers: readonly Dockerode.ContainerInfo[]): LabState {
  const states = new Set(containers.map((container) => container.State));
  if (states.has("created")) return "starting";
  if (states.size > 1) return "broken";
  return states.has("running") ? "running" : "stopped";
}

/** A lab, and hosts that know their place in it. */
class DockerLab implements Lab {
  readonly id: string;
  readonly lab: string;
  readonly state: LabState;
  readonly problem?: string;
  readonly createdAtMs: number;
  readonly hosts: readonly { readonly name: string }[];
  /** In order of their number, which their addresses follow. */
  readonly members: readonly DockerLabHost[];

  constructor(id: string, containers: readonly Dockerode.ContainerInfo[], context: HostContext) {
    const number = (container: Dockerode.ContainerInfo) => Number(container.Labels[labels.number]);
    const ordered = containers.toSorted((a, b) => number(a) - number(b));
    this.id = id;
    this.lab = ordered[0]?.Labels[labels.topology] ?? "";
    this.state = stateOf(containers);
    if (this.state === "broken") {
      const down = ordered.filter((container) => container.State !== "running");
      this.problem = `${down.map((host) => host.Labels[labels.host]).join(", ")} stopped.`;
    }
    this.createdAtMs = Math.min(...containers.map((container) => container.Created * 1000));
    this.members = ordered.map(
      (container) =>
        new DockerLabHost(id, container.Labels[labels.host] ?? "", container.Id, context),
    );
    this.hosts = this.members.map(({ name }) => ({ name }));
  }

  host(name?: string): DockerLabHost {
    const found = this.members.find((host) => name === undefined || host.name === name);
    if (found !== undefined) return found;
    const names = this.hosts.map((host) => host.name).join(", ");
    throw new SandboxError(
      "host-not-found",
      `Lab "${this.id}" has no host "${name}". Hosts: ${names}.`,
    );
  }
}

/** Labs on one Docker engine. The labs belong to the engine: this object may come and go. */
export class DockerEngine implements SandboxEngine {
  readonly #docker: Dockerode;
  readonly #address: string;
  readonly #name: string;
  readonly #context: HostContext;
  readonly #closing = new AbortController();
  #image: Promise<string> | undefined;
  #session: Promise<{ readonly hand: HandSession; readonly steward: string }> | undefined;

  /** `address` as `DOCKER_HOST` takes it; `name` is what an operator calls this engine. */
  constructor(address: string, name: string) {
    this.#address = address;
    this.#name = name;
    this.#docker = engineClient(address);
    this.#context = {
      docker: this.#docker,
      address,
      hand: async () => (await this.#handSession()).hand,
      steward: async () => (await this.#handSession()).steward,
    };
  }

  async describe(): Promise<EngineDescription> {
    const info = await this.#docker.info();
    const isolation = isolationOf(info);
    return {
      name: this.#name,
      version: info.ServerVersion,
      isolation,
      isolationMeaning: isolationMeanings[isolation],
      cgroupVersion: info.CgroupVersion === "2" ? 2 : 1,
    };
  }

  async prepare(onProgress: ProgressListener = () => undefined): Promise<void> {
    await this.#hostImage(onProgress);
    await this.#handSession();
  }

  async up(request: LabRequest): Promise<Lab> {
    const topology = topologies[request.topology];
    if (topology === undefined) {
      throw new SandboxError(
        "topology-not-found",
        didYouMean("lab", request.topology, Object.keys(topologies)),
      );
    }
    const id = request.name ?? `${topology.name}-${randomBytes(3).toString("hex")}`;
    if (!NAME_PATTERN.test(id)) {
      throw new SandboxError(
        "name-invalid",
        `"${id}" can't name a lab: use 1 to 31 of a-z, 0-9 and "-", starting with a letter or a digit.`,
      );
    }
    return this.#create(id, topology, request);
  }

  async list(): Promise<readonly LabSummary[]> {
    const labs = await this.#labs();
    return Promise.all(
      labs.map(async (lab): Promise<LabSummary> => {
        const { id, lab: name, createdAtMs, hosts, problem } = lab;
        const summary = { id, lab: name, state: lab.state, createdAtMs, hosts };
        if (lab.state !== "running")
          return problem === undefined ? summary : { ...summary, problem };
        const answers = await Promise.all(lab.members.map((host) => this.#answers(host, 1000)));
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
    await Promise.all(
      (await this.#containers(id))
        .filter((container) => container.State !== "running")
        .map((container) => this.#docker.getContainer(container.Id).start()),
    );
    return this.#boot(await this.#find(id), {});
  }

  async reset(id: string, options: { readonly onProgress?: ProgressListener } = {}): Promise<Lab> {
    const { lab } = await this.#find(id);
    const topology = topologies[lab];
    if (topology === undefined) {
      throw new SandboxError("topology-not-found", `Lab "${id}" is of an unknown kind, "${lab}".`);
    }
    await this.#remove(id);
    return this.#create(id, topology, options);
  }

  async down(id: string): Promise<void> {
    await this.#find(id);
    await this.#remove(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const session = await this.#session?.catch(() => undefined);
    await session?.hand[Symbol.asyncDispose]();
    this.#closing.abort();
  }

  #hostImage(onProgress?: ProgressListener): Promise<string> {
    this.#image ??= ensureHostImage(this.#address, onProgress).catch((error) => {
      this.#image = undefined;
      throw error;
    });
    return this.#image;
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
    const { container, started } = await ensureSteward(docker, await this.#hostImage());
    const hand = new HandSession(this.#address, container);
    const abandon = () => hand.abandon();
    this.#docker
      .getContainer(container)
      .wait({ abortSignal: this.#closing.signal })
      .then(abandon, () => this.#closing.signal.aborted || abandon());
    if (started) {
      // The wires of labs that run were held by the last sidecar.
      for (const { Id, State, Labels } of await this.#containers()) {
        if (State !== "running") continue;
        const lab = Labels[labels.lab] ?? "";
        const host = new DockerLabHost(lab, Labels[labels.host] ?? "", Id, {
          ...this.#context,
          hand: async () => hand,
        });
        // A lab that is breaking down is told by `list`; it must not keep the others from their wires.
        await host.prepare(Number(Labels[labels.number])).catch((error) => {
          if (!(error instanceof SandboxError)) throw error;
        });
      }
    }
    return { hand, steward: container };
  }

  #containers(id?: string): Promise<Dockerode.ContainerInfo[]> {
    const label = [id === undefined ? labels.lab : `${labels.lab}=${id}`];
    return this.#docker.listContainers({ all: true, filters: { label } });
  }

  async #labs(): Promise<DockerLab[]> {
    const byLab = Map.groupBy(
      await this.#containers(),
      (container) => container.Labels[labels.lab] ?? "",
    );
    return [...byLab]
      .map(([lab, containers]) => new DockerLab(lab, containers, this.#context))
      .sort((a, b) => a.createdAtMs - b.createdAtMs || a.id.localeCompare(b.id));
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

  async #create(
    id: string,
    topology: Topology,
    request: Pick<LabRequest, "onProgress" | "signal">,
  ): Promise<Lab> {
    const { onProgress, signal } = request;
    const image = await this.#hostImage(onProgress);
    // The session with the sidecar opens while the engine makes the containers.
    const hand = this.#handSession();
    hand.catch(() => undefined);
    const limits = hostLimits((await this.#docker.info()).NCPU);
    onProgress?.({ title: "Lab host", detail: topology.hosts.map((host) => host.name).join(", ") });
    let made = false;
    try {
      for (const [index, { name }] of topology.hosts.entries()) {
        signal?.throwIfAborted();
        const container = await this.#docker.createContainer({
          name: `patchbay-${id}-${name}`,
          Image: image,
          Hostname: name,
          Labels: {
            [labels.lab]: id,
            [labels.topology]: topology.name,
            [labels.host]: name,
            [labels.number]: String(index + 1),
          },
          Volumes: nestedEngine.Volumes,
          HostConfig: { ...nestedEngine.HostConfig, ...limits, Dns: ["10.77.0.1"] },
        });
        made = true;
        await container.start();
      }
      await hand;
      return await this.#boot(await this.#find(id), request);
    } catch (error) {
      if (!made && statusOf(error) === 409) {
        throw new SandboxError(
          "name-taken",
          `There is a lab "${id}" already. Take another name, or end it: patchbay lab down ${id}`,
        );
      }
      if (made) await this.#remove(id);
      if (signal?.aborted || error instanceof SandboxError) throw error;
      throw new SandboxError(
        "lab-start-failed",
        `Lab "${id}" did not start: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  /** Prepares the hosts of a lab, whose containers run, and waits for the engines inside. */
  async #boot(
    lab: DockerLab,
    { onProgress, signal }: Pick<LabRequest, "onProgress" | "signal">,
  ): Promise<DockerLab> {
    for (const [index, host] of lab.members.entries()) await host.prepare(index + 1);
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
    return lab;
  }

  async #answers(host: DockerLabHost, timeoutMs: number): Promise<boolean> {
    try {
      return (await host.innerEngine().request({ path: "/_ping", timeoutMs })).status === 200;
    } catch (error) {
      if (error instanceof SandboxError && error.code.startsWith("inner-engine-")) return false;
      throw error;
    }
  }

  async #remove(id: string): Promise<void> {
    const containers = (await this.#containers(id)).map(({ Id }) => Id);
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
    await Promise.all(containers.map((container) => remove(container, 3)));
    await hand.ask("unlink", 0, { lab: id });
  }
}

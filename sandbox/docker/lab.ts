import type Dockerode from "dockerode";
import { SandboxError } from "../errors.ts";
import { FACTS_VERSION } from "../facts/schema.ts";
import type { Lab, LabFacts, LabState } from "../index.ts";
import { type Topology, topologies } from "../topologies/index.ts";
import { type Holder, holderOf, kindOf, labels, madeFrom } from "./containers.ts";
import { DockerLabHost, type HostContext } from "./lab-host.ts";

function stateOf(containers: readonly Dockerode.ContainerInfo[]): LabState {
  const running = containers.filter((container) => container.State === "running").length;
  if (running === containers.length) return "running";
  return running === 0 ? "stopped" : "broken";
}

/** A lab, and machines that know their place in it. */
export class DockerLab implements Lab {
  readonly id: string;
  readonly lab: string;
  readonly state: LabState;
  readonly problem?: string;
  readonly createdAtMs: number;
  readonly hosts: readonly { readonly name: string }[];
  readonly key: string;
  readonly shape: string;
  readonly holder: Holder;
  /** Hosts, then neighbours, each in the order of the topology. */
  readonly machines: readonly DockerLabHost[];
  readonly containers: readonly Dockerode.ContainerInfo[];
  /** By which it was made; of a lab that an older version of Patchbay made, the course's of that name. */
  readonly topology: Topology | undefined;
  readonly #context: HostContext;

  constructor(containers: readonly Dockerode.ContainerInfo[], context: HostContext) {
    const number = (container: Dockerode.ContainerInfo) => Number(container.Labels[labels.number]);
    this.containers = containers.toSorted((a, b) => number(a) - number(b));
    const [first] = this.containers;
    if (first === undefined) throw new Error("A lab has at least one container.");
    this.#context = context;
    this.holder = holderOf(first);
    this.key = first.Labels[labels.key] ?? "";
    this.shape = first.Labels[labels.shape] ?? "";
    this.id = this.holder.state === "lab" ? this.holder.id : this.key;
    this.lab = this.holder.state === "lab" ? this.holder.topology : "";
    this.topology = madeFrom(first) ?? topologies[this.lab];
    this.state = stateOf(containers);
    if (this.state === "broken") {
      const down = this.containers.filter((container) => container.State !== "running");
      this.problem = `${down.map((host) => host.Labels[labels.machine]).join(", ")} stopped.`;
    }
    this.createdAtMs = Math.min(...containers.map((container) => container.Created * 1000));
    const { hosts = [], neighbours = [] } = this.topology ?? {};
    const addressOf = (name: string | undefined) =>
      [...hosts, ...neighbours].find((machine) => machine.name === name)?.interfaces[0]?.address;
    this.machines = this.containers.map(
      (container) =>
        new DockerLabHost(
          {
            labId: this.id,
            name: container.Labels[labels.machine] ?? "",
            address: addressOf(container.Labels[labels.machine]),
            kind: kindOf(container),
            egress: container.Labels[labels.egress] === "nat" ? "nat" : "none",
            container: container.Id,
            key: this.key,
            sibling: (name) => this.host(name),
          },
          context,
        ),
    );
    this.hosts = this.members.map(({ name }) => ({ name }));
  }

  /** The Docker hosts. */
  get members(): readonly DockerLabHost[] {
    return this.machines.filter(({ kind }) => kind === "host");
  }

  async facts(
    options: { readonly host?: string; readonly signal?: AbortSignal } = {},
  ): Promise<LabFacts> {
    const takenAtMs = Date.now();
    const machines = options.host === undefined ? this.machines : [this.host(options.host)];
    const all = await Promise.all(machines.map((machine) => machine.facts(options)));
    const of = (kind: DockerLabHost["kind"]) =>
      all.filter((_, index) => machines[index]?.kind === kind);
    return {
      version: FACTS_VERSION,
      lab: this.id,
      topology: this.lab,
      takenAtMs,
      hosts: of("host"),
      neighbours: of("neighbour"),
    };
  }

  host(name?: string): DockerLabHost {
    const found = this.machines.find((host) => name === undefined || host.name === name);
    if (found !== undefined) return found;
    const names = this.machines.map((host) => host.name).join(", ");
    throw new SandboxError(
      "host-not-found",
      `Lab "${this.id}" has no host "${name}". Hosts: ${names}.`,
    );
  }

  async marks(): Promise<Readonly<Record<string, number>>> {
    const hand = await this.#context.hand();
    return (await hand.ask("marks", 0, { key: this.key })) as Record<string, number>;
  }

  async mark(name: string): Promise<void> {
    const hand = await this.#context.hand();
    await hand.ask("mark", 0, { key: this.key, name });
  }
}

import { createHash } from "node:crypto";
import type Dockerode from "dockerode";
import type { Egress } from "../index.ts";
import { setupScript } from "../topologies/files.ts";
import type { Machine, Topology } from "../topologies/index.ts";
import { topologySchema } from "../topologies/schema.ts";

/** What never changes of a lab's container. Its name says whose it is, since an engine can rename. */
export const labels = {
  /** Of one lab and all that belongs to it: wires, disks. */
  key: "patchbay.key",
  shape: "patchbay.shape",
  /** As JSON: a process that does not know the topology keeps such a lab running all the same. */
  topology: "patchbay.topology",
  machine: "patchbay.machine",
  /** Position among the lab's machines, hosts first. */
  number: "patchbay.number",
  kind: "patchbay.kind",
  egress: "patchbay.egress",
} as const;

/**
 * Whose a lab's containers are: a student's, by id; nobody's yet and ready; or under construction.
 * The name of the first host's container decides; a rename by the old name is the one step that hands it over.
 */
export type Holder =
  | { readonly state: "lab"; readonly topology: string; readonly id: string }
  | { readonly state: "warm" }
  | { readonly state: "making" };

export function containerName(holder: Holder, key: string, machine: string): string {
  return holder.state === "lab"
    ? `patchbay.${holder.topology}.${holder.id}.${machine}`
    : `patchbay.${holder.state}.${key}.${machine}`;
}

export function holderOf(container: Dockerode.ContainerInfo): Holder {
  const [, first = "", second = ""] = (container.Names[0] ?? "").slice(1).split(".");
  if (first === "warm" || first === "making") return { state: first };
  return { state: "lab", topology: first, id: second };
}

export const kindOf = (container: Dockerode.ContainerInfo): "host" | "neighbour" =>
  container.Labels[labels.kind] === "neighbour" ? "neighbour" : "host";

/** The topology by which a lab was made, whatever its name is by now; `undefined` where it can't be read. */
export function madeFrom(container: Dockerode.ContainerInfo): Topology | undefined {
  try {
    return topologySchema.safeParse(JSON.parse(container.Labels[labels.topology] ?? "")).data;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

/** Equal for topologies whose labs differ in nothing but the name. */
export function shapeOf(topology: Topology, image: string, egress: Egress): string {
  const { networks, hosts, neighbours, limits } = topology;
  const setup = setupScript(topology);
  const text = JSON.stringify([networks, hosts, neighbours, setup, limits, image, egress]);
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

/** A topology's wires as the trusted hand lays them. */
export function wiring({ networks, hosts, neighbours }: Topology) {
  const wired = ({ name, interfaces }: Machine) => ({
    name,
    interfaces: interfaces.flatMap(({ network, address }) =>
      networks
        .filter((each) => each.name === network)
        .map(({ gateway, mtu }) => ({
          network,
          address: `${address}/${gateway.split("/")[1]}`,
          gateway,
          mtu,
        })),
    ),
  });
  return { networks, machines: [...hosts, ...neighbours].map(wired) };
}

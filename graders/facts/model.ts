/**
 * The facts of a lab as checks read them: references resolved, what students name looked up by name. What could not
 * be had throws where it is looked at: a check that needs it is errored, with the reason, and others are not.
 */
import {
  type ContainerFacts,
  type FilterRule,
  type HostFacts,
  type LabFacts,
  type LinkFacts,
  type MissingFacts,
  type NamespaceFacts,
  type NetworkFacts,
  SandboxError,
  type SandboxErrorCode,
} from "../../sandbox/index.ts";
import { joined, type Text, words } from "../core/text.ts";

export type { LinkFacts, NetworkFacts } from "../../sandbox/index.ts";

/** A network of driver `bridge`, whose interface the engine names. */
export type BridgeNetwork = Omit<NetworkFacts, "bridge"> & { readonly bridge: string };

/** A record without null: where the facts have one, the field throws `SandboxError` that says why. */
type Whole<Facts, Field extends keyof Facts> = Omit<Facts, Field> & {
  readonly [Name in Field]: NonNullable<Facts[Name]>;
};

function whole<
  Facts extends { readonly missing: readonly MissingFacts[] },
  Field extends keyof Facts,
>(facts: Facts, fields: readonly Field[], owner: string): Whole<Facts, Field> {
  const getters = fields.map((field): [PropertyKey, PropertyDescriptor] => [
    field,
    {
      enumerable: true,
      get() {
        const gap = facts.missing.find(({ source }) => source === field);
        if (gap === undefined && facts[field] !== null) return facts[field];
        const why = gap?.why ?? "there is none";
        throw new SandboxError(
          (gap?.code ?? "lab-broken") as SandboxErrorCode,
          `Nothing is known of the ${String(field)} of ${owner}: ${why}`,
        );
      },
    },
  ]);
  return Object.defineProperties({ ...facts }, Object.fromEntries(getters)) as Whole<Facts, Field>;
}

const kernelTables = [
  "links",
  "routes",
  "rules",
  "neighbours",
  "forwarding",
  "netfilter",
  "sockets",
] as const;

/** A network namespace as the kernel has it. */
export type NamespaceModel = Whole<NamespaceFacts, (typeof kernelTables)[number]>;

/** Looked up by a name that a student chose; no prototype's name is found in it. */
export type Named<Value> = Readonly<Record<string, Value>>;

function named<Value>(entries: Iterable<readonly [string, Value]>): Named<Value> {
  const record: Record<string, Value> = Object.create(null);
  for (const [name, value] of entries) record[name] = value;
  return record;
}

/** A container as its engine tells of it, with the kernel's view of its network. */
export interface ContainerModel extends Omit<ContainerFacts, "namespace" | "labels" | "networks"> {
  readonly labels: Named<string>;
  /** By the name of the network. */
  readonly networks: Named<ContainerFacts["networks"][number]>;
  /** Of its process; null where the lab has no such process. */
  readonly namespace: NamespaceModel | null;
}

const engineTables = ["engine", "containers", "networks", "images", "services", "named"] as const;
type WholeHost = Whole<HostFacts, (typeof engineTables)[number]>;

export interface HostModel
  extends Pick<WholeHost, "name" | "engine" | "networks" | "images" | "services"> {
  readonly facts: HostFacts;
  /** Its own network namespace. */
  readonly namespace: NamespaceModel;
  /** Every one that was met: its own first. */
  readonly namespaces: readonly NamespaceModel[];
  /** Those that `ip netns list` shows; null where a name leads to none. */
  readonly named: Named<NamespaceModel | null>;
  readonly containers: readonly ContainerModel[];
}

export interface LabModel {
  readonly facts: LabFacts;
  /** The Docker hosts. */
  readonly hosts: readonly HostModel[];
  /** Machines that are no Docker hosts. */
  readonly neighbours: readonly HostModel[];
}

export function hostModel(facts: HostFacts): HostModel {
  const { name } = facts;
  const known = whole(facts, engineTables, name);
  const byInode = new Map(
    facts.namespaces.map((each) => [
      each.inode,
      whole(each, kernelTables, `network namespace ${each.inode} of ${name}`),
    ]),
  );
  const resolve = (inode: number | null): NamespaceModel | null => {
    if (inode === null) return null;
    const found = byInode.get(inode);
    if (found !== undefined) return found;
    const why =
      facts.missing.find(({ source }) => source === "namespaces")?.why ?? "it came and went";
    throw new SandboxError(
      "probe-failed",
      `Network namespace ${inode} of ${name} was not looked at: ${why}`,
    );
  };
  const container = (each: ContainerFacts): ContainerModel => ({
    ...each,
    labels: named(each.labels.map((label) => [label.name, label.value])),
    networks: named(each.networks.map((network) => [network.name, network])),
    get namespace() {
      return resolve(each.namespace);
    },
  });
  return {
    name,
    facts,
    get namespace() {
      const own = resolve(facts.namespace);
      if (own === null) throw new Error(`${name} has no network namespace.`);
      return own;
    },
    get namespaces() {
      return [...byInode.values()];
    },
    get named() {
      return named(known.named.map((each) => [each.name, resolve(each.namespace)]));
    },
    get containers() {
      return known.containers.map(container);
    },
    get engine() {
      return known.engine;
    },
    get networks() {
      return known.networks;
    },
    get images() {
      return known.images;
    },
    get services() {
      return known.services;
    },
  };
}

export const labModel = (facts: LabFacts): LabModel => ({
  facts,
  hosts: facts.hosts.map(hostModel),
  neighbours: facts.neighbours.map(hostModel),
});

/** The lab's only host, or its first one. */
export function firstHost({ hosts: [host] }: LabModel): HostModel {
  if (host === undefined) throw new Error("The lab has no host.");
  return host;
}

export const linkNamed = (namespace: NamespaceModel, name: string): LinkFacts | undefined =>
  namespace.links.find((link) => link.name === name);

/** Whether it is switched on; its cable may still be dead. */
export const isUp = (link: LinkFacts): boolean => link.flags.includes("UP");

/** An interface's other end: the far end of a veth pair, wherever it is. */
export interface Cable {
  /** Name of the near end, inside the namespace; and the near end itself. */
  readonly inside: string;
  readonly near: LinkFacts;
  readonly peer: LinkFacts;
}

/** The veth pairs of a namespace whose far end is in one of the others. The kernel's own numbers decide, not names. */
export function cablesOf(
  namespace: NamespaceModel,
  others: readonly NamespaceModel[],
): readonly Cable[] {
  return namespace.links
    .filter(({ kind }) => kind === "veth")
    .flatMap((near) => {
      const far = others.find(({ inode }) => inode === near.link?.namespace);
      const peer = far?.links.find(
        ({ kind, index, link }) =>
          kind === "veth" && index === near.link?.index && link?.index === near.index,
      );
      return peer === undefined ? [] : [{ inside: near.name, near, peer }];
    });
}

/** An end of a veth pair that sits in a bridge of the lab host. */
export interface BridgePort {
  /** Name inside the namespace. */
  readonly inside: string;
  /** Name on the host. */
  readonly outside: string;
  readonly bridge: string;
}

/** Where the veths of a namespace are plugged into bridges of the host. */
export const bridgePorts = (namespace: NamespaceModel, host: NamespaceModel): BridgePort[] =>
  cablesOf(namespace, [host]).flatMap(({ inside, peer }) =>
    peer.master === null ? [] : [{ inside, outside: peer.name, bridge: peer.master }],
  );

/** An IPv4 address as an interface has it. */
export interface InterfaceAddress {
  readonly interface: string;
  readonly address: string;
  readonly prefix: number;
}

/** All IPv4 addresses of a namespace. */
export const allAddresses = (namespace: NamespaceModel): InterfaceAddress[] =>
  namespace.links.flatMap((link) =>
    link.addresses
      .filter(({ family }) => family === "inet")
      .map(({ address, prefix }) => ({ interface: link.name, address, prefix })),
  );

/** IPv4 addresses of an interface, without prefix lengths. */
export const addressesOf = (namespace: NamespaceModel, interfaceName: string): string[] =>
  allAddresses(namespace)
    .filter((each) => each.interface === interfaceName)
    .map(({ address }) => address);

/** Whether the host has a bridge device of that name. */
export const hasBridge = (host: NamespaceModel, name: string): boolean =>
  host.links.some((link) => link.name === name && link.kind === "bridge");

/** What stands behind an option of a rule of iptables, such as `--dport`. */
export const optionOf = ({ options }: FilterRule, name: string): string | undefined =>
  options.find((option) => option.name === name && !option.not)?.values[0];

/** Rules of iptables for IPv4 in a table, whichever of its two backends has it. */
export const filterRules = (namespace: NamespaceModel, table: string): readonly FilterRule[] =>
  (namespace.netfilter.ruleset?.iptables ?? [])
    .filter((each) => each.family === "ip" && each.table === table)
    .flatMap(({ rules }) => rules);

const TOLD = 20;

const none = { en: "none", ru: "нет" };

/** Names for a sentence; of very many, the first ones and how many more there are. */
export function list(names: readonly Text[]): Text {
  const first = joined(names.slice(0, TOLD), ", ");
  const rest = names.length - TOLD;
  if (rest <= 0) return names.length === 0 ? words`${none}` : first;
  const more = { en: `and ${rest} more`, ru: `и ещё ${rest}` };
  return words`${first} ${more}`;
}

/**
 * One picture of a lab. What the inner engine says is a claim of the student's machine; what the kernel
 * says was read from outside. Checks compare the two and believe the kernel.
 */
import type { KernelSnapshot, NamespaceSnapshot } from "../../sandbox/index.ts";

export interface NetworkFacts {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  /** Whether containers that are no service's may join; of overlay networks. */
  readonly attachable: boolean;
  /** Interface that the engine names for it; only for driver `bridge`. */
  readonly bridge?: string;
  readonly subnets: readonly string[];
}

export interface ContainerFacts {
  readonly id: string;
  readonly name: string;
  readonly running: boolean;
  readonly paused: boolean;
  /** As the engine says, by network name. */
  readonly networks: Readonly<Record<string, { readonly address: string }>>;
  /** As the engine says; the lab host's numbering. */
  readonly pid: number;
  /** As the engine says. */
  readonly labels: Readonly<Record<string, string>>;
  /** As the engine says: which ports of the host lead to it. */
  readonly published: readonly {
    readonly hostAddress: string;
    readonly hostPort: number;
    /** `80/tcp`. */
    readonly port: string;
  }[];
  /** The kernel's view of that pid's network namespace; null where no such process lives. */
  readonly namespace: NamespaceSnapshot | null;
}

export interface HostFacts {
  readonly name: string;
  readonly networks: readonly NetworkFacts[];
  readonly containers: readonly ContainerFacts[];
  /** The lab host's own network namespace, with the rules of its packet filter. */
  readonly namespace: KernelSnapshot["host"];
  /** Those that `ip netns list` shows; null where a name leads to none. */
  readonly named: Readonly<Record<string, NamespaceSnapshot | null>>;
}

export interface LabFacts {
  readonly hosts: readonly HostFacts[];
}

/** The lab's only host, or its first one. */
export function firstHost(facts: LabFacts): HostFacts {
  const [host] = facts.hosts;
  if (host === undefined) throw new Error("The lab has no host.");
  return host;
}

type Link = Readonly<Record<string, unknown>>;

/** What `ip -d link` calls the kind: `veth`, `bridge`, `vxlan`, `macvlan`. Empty for a physical one. */
export const kindOf = (link: Link): string =>
  (link["linkinfo"] as { info_kind?: string } | undefined)?.info_kind ?? "";

/** What is special to the kind: a vxlan's id, a bridge's spanning tree. */
export const dataOf = (link: Link): Readonly<Record<string, unknown>> =>
  (link["linkinfo"] as { info_data?: Record<string, unknown> } | undefined)?.info_data ?? {};

export const linkNamed = (namespace: NamespaceSnapshot, name: string): Link | undefined =>
  namespace.links.find((link) => link["ifname"] === name);

export const isUp = (link: Link): boolean => ((link["flags"] ?? []) as string[]).includes("UP");

/** An interface's other end: the far end of a veth pair, wherever it is. */
export interface Cable {
  /** Name inside the namespace. */
  readonly inside: string;
  /** The far end's namespace, by its inode; and its name there. */
  readonly peerInode: number;
  readonly peer: Link;
}

/** The veth pairs of a namespace whose far end is in one of the others. The kernel's own ids decide, not names. */
export function cablesOf(
  namespace: NamespaceSnapshot,
  others: readonly NamespaceSnapshot[],
): readonly Cable[] {
  return namespace.links
    .filter((link) => kindOf(link) === "veth")
    .flatMap((link) => {
      const id = link["link_netnsid"];
      // Without an id the far end is in the same namespace.
      const inode = id === undefined ? namespace.inode : namespace.peers[String(id)];
      const far = others.find((other) => other.inode === inode);
      const peer = far?.links.find(
        (candidate) =>
          kindOf(candidate) === "veth" &&
          candidate["ifindex"] === link["link_index"] &&
          candidate["link_index"] === link["ifindex"],
      );
      return inode === undefined || peer === undefined
        ? []
        : [{ inside: String(link["ifname"]), peerInode: inode, peer }];
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
export const bridgePorts = (namespace: NamespaceSnapshot, host: NamespaceSnapshot): BridgePort[] =>
  cablesOf(namespace, [host]).flatMap(({ inside, peer }) =>
    typeof peer["master"] === "string"
      ? [{ inside, outside: String(peer["ifname"]), bridge: peer["master"] }]
      : [],
  );

/** An IPv4 address as an interface has it. */
export interface InterfaceAddress {
  readonly interface: string;
  readonly address: string;
  readonly prefix: number;
}

/** All IPv4 addresses of a namespace. */
export const allAddresses = (namespace: NamespaceSnapshot): InterfaceAddress[] =>
  namespace.addresses.flatMap((entry) =>
    (
      (entry["addr_info"] ?? []) as { family?: string; local?: string; prefixlen?: number }[]
    ).flatMap(({ family, local, prefixlen = 32 }) =>
      family === "inet" && local
        ? [{ interface: String(entry["ifname"]), address: local, prefix: prefixlen }]
        : [],
    ),
  );

/** IPv4 addresses of an interface, without prefix lengths. */
export const addressesOf = (namespace: NamespaceSnapshot, interfaceName: string): string[] =>
  allAddresses(namespace)
    .filter((each) => each.interface === interfaceName)
    .map(({ address }) => address);

/** Whether the host has a bridge device of that name. */
export const hasBridge = (host: NamespaceSnapshot, name: string): boolean =>
  host.links.some((link) => link["ifname"] === name && kindOf(link) === "bridge");

/** Names for a sentence. */
export const list = (names: readonly string[]): string =>
  names.length === 0 ? "none" : names.join(", ");

/**
 * One picture of a lab. What the inner engine says is a claim of the student's machine; what the kernel
 * says was read from outside. Checks compare the two and believe the kernel.
 */
import type { NamespaceSnapshot } from "../../sandbox/index.ts";

export interface NetworkFacts {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
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
  /** The kernel's view of that pid's network namespace; null where no such process lives. */
  readonly namespace: NamespaceSnapshot | null;
}

export interface HostFacts {
  readonly name: string;
  readonly networks: readonly NetworkFacts[];
  readonly containers: readonly ContainerFacts[];
  /** The lab host's own network namespace. */
  readonly namespace: NamespaceSnapshot;
}

export interface LabFacts {
  readonly hosts: readonly HostFacts[];
}

/** An end of a veth pair that sits in a bridge of the lab host. */
export interface BridgePort {
  /** Name inside the namespace. */
  readonly inside: string;
  /** Name on the host. */
  readonly outside: string;
  readonly bridge: string;
}

const isVeth = (link: Record<string, unknown>): boolean =>
  (link["linkinfo"] as { info_kind?: string } | undefined)?.info_kind === "veth";

/** Where the veths of a namespace are plugged into bridges of the host, by the kernel's indices. */
export function bridgePorts(namespace: NamespaceSnapshot, host: NamespaceSnapshot): BridgePort[] {
  return namespace.links.filter(isVeth).flatMap((link) => {
    const peer = host.links.find(
      (candidate) =>
        isVeth(candidate) &&
        candidate["ifindex"] === link["link_index"] &&
        candidate["link_index"] === link["ifindex"],
    );
    return typeof peer?.["master"] === "string"
      ? [
          {
            inside: String(link["ifname"]),
            outside: String(peer["ifname"]),
            bridge: peer["master"],
          },
        ]
      : [];
  });
}

/** IPv4 addresses of an interface, without prefix lengths. */
export function addressesOf(namespace: NamespaceSnapshot, interfaceName: string): string[] {
  const link = namespace.addresses.find((entry) => entry["ifname"] === interfaceName);
  const infos = (link?.["addr_info"] ?? []) as { family?: string; local?: string }[];
  return infos.flatMap(({ family, local }) => (family === "inet" && local ? [local] : []));
}

/** Whether the host has a bridge device of that name. */
export const hasBridge = (host: NamespaceSnapshot, name: string): boolean =>
  host.links.some(
    (link) =>
      link["ifname"] === name &&
      (link["linkinfo"] as { info_kind?: string } | undefined)?.info_kind === "bridge",
  );

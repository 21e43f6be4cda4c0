import { createHash } from "node:crypto";
import type { HostFacts, LabFacts, NamespaceFacts } from "../../sandbox/index.ts";

/** Counters, clocks, and who happens to run: these move while nobody changes anything. */
const moving =
  /^(takenAtMs|processes|packets|bytes|dropped|received|sent|used|expires|net\.netfilter\.nf_conntrack_count)$/;

/** Lists whose order says nothing. */
const unordered = new Set([
  "namespaces",
  "containers",
  "networks",
  "images",
  "services",
  "sockets",
]);

/** Whether something is plugged in: a grader's own container brings a bridge up for a moment. */
const carrier = new Set(["LOWER_UP", "NO_CARRIER", "NO-CARRIER", "LINKDOWN", "linkdown"]);

/** States of neighbours and of forwarding entries that somebody wrote down; others come with traffic. */
const lasting = new Set(["PERMANENT", "NOARP"]);

/** What the kernel gives to each interface that comes up: link-local and multicast addresses, and their routes. */
const automatic = /^(fe80:|ff00:|::1)/;

/** Clients' sockets are bound to ports from here on: `net.ipv4.ip_local_port_range`. */
const EPHEMERAL = 32_768;

type Item = Readonly<Record<string, unknown>>;
const lasts = ({ states }: Item) => (states as string[]).some((state) => lasting.has(state));
/** Whether a MAC address is a group's: the kernel listens to some of them on each interface. */
const isGroup = (mac: string) => Number.parseInt(mac.slice(0, 2), 16) % 2 === 1;
const kept: Readonly<Record<string, (item: Item) => boolean>> = {
  neighbours: lasts,
  forwarding: (entry) => lasts(entry) && !isGroup(String(entry["mac"])),
  addresses: ({ address }) => !automatic.test(String(address)),
  routes: ({ destination, type }) => !automatic.test(String(destination)) && type !== "multicast",
  sockets: ({ protocol, port }) => protocol === "tcp" || Number(port) < EPHEMERAL,
};

function still(value: unknown, key = ""): unknown {
  if (Array.isArray(value)) {
    if (key === "flags") return value.filter((flag) => !carrier.has(flag)).sort();
    const items = value.filter(kept[key] ?? (() => true)).map((item) => still(item));
    if (!unordered.has(key)) return items;
    return items
      .map((item) => ({ item, text: JSON.stringify(item) }))
      .sort((a, b) => (a.text < b.text ? -1 : 1))
      .map(({ item }) => item);
  }
  if (typeof value !== "object" || value === null) return value;
  const isBridge = (value as { kind?: unknown }).kind === "bridge";
  const entries = Object.entries(value).filter(
    ([name]) => !moving.test(name) && !(isBridge && name === "state"),
  );
  return Object.fromEntries(
    entries
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, item]) => [name, still(item, name)]),
  );
}

/**
 * A host without the containers that graders started and the cables that lead to them. A namespace that is neither a
 * container's nor has a name is one that is just being made or taken away, like a cable that leads from a bridge to
 * nowhere.
 */
function withoutOurs(host: HostFacts): HostFacts {
  const all = host.containers ?? [];
  const ours = all.filter(({ labels }) => labels.some(({ name }) => name === "patchbay.check"));
  const containers = all.filter((container) => !ours.includes(container));
  const away = new Set(ours.map(({ namespace }) => namespace));
  const places = [host.namespace, ...containers.map(({ namespace }) => namespace)];
  const inodes = new Set([...places, ...(host.named ?? []).map(({ namespace }) => namespace)]);
  const plugged = (namespace: NamespaceFacts): NamespaceFacts => {
    const links = namespace.links?.filter(
      ({ link, master }) =>
        link === null || (link.namespace === null ? master === null : !away.has(link.namespace)),
    );
    if (links === undefined) return namespace;
    const names = new Set<string | null>([null, ...links.map(({ name }) => name)]);
    const routes = namespace.routes?.filter(({ hops }) =>
      hops.every((hop) => names.has(hop.interface)),
    );
    const forwarding = namespace.forwarding?.filter((entry) => names.has(entry.interface));
    return { ...namespace, links, routes: routes ?? null, forwarding: forwarding ?? null };
  };
  const namespaces = host.namespaces.filter(({ inode }) => inodes.has(inode)).map(plugged);
  return { ...host, containers: host.containers && containers, namespaces };
}

/** A lab's facts without what moves by itself or by a grader's doing, in a fixed order. */
export const stillFacts = ({ hosts, neighbours }: LabFacts): unknown => ({
  hosts: hosts.map((host) => still(withoutOurs(host))),
  neighbours: neighbours.map((host) => still(withoutOurs(host))),
});

/** The same for two collections of a lab that nobody has changed in between. */
export const fingerprint = (facts: LabFacts): string =>
  createHash("sha256")
    .update(JSON.stringify(stillFacts(facts)))
    .digest("hex");

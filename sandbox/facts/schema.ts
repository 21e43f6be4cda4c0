/**
 * One picture of a lab, as `patchbay lab facts` prints it and as checks and maps read it. What the kernel says was
 * read from outside by the trusted hand; what stands under containers, networks, images, services and engine is the
 * word of the engine in the lab, which is the student's machine. The two meet in `namespace` of a container, which
 * the kernel decides. `docs/facts.md` and `docs/facts.schema.json` are made of this file.
 */
import { z } from "zod";

/** Grows with every change that a reader of the JSON has to know of: a field that is gone, or means something else. */
export const FACTS_VERSION = 1;

const text = (meaning: string) => z.string().describe(meaning);
const count = (meaning: string) => z.int().nonnegative().describe(meaning);
const flag = (meaning: string) => z.boolean().describe(meaning);
const inode = (meaning: string) => z.int().positive().describe(meaning);
const ipFamily = z.enum(["inet", "inet6"]).describe("IPv4 or IPv6.");
/** What a student's machine may call anything: no prototype's name is a trap in a list of pairs. */
const pairs = (meaning: string) =>
  z.array(z.strictObject({ name: text("The key."), value: text("The value.") })).describe(meaning);

const missing = z
  .array(
    z.strictObject({
      source: text("The field beside this list that is null for it, or incomplete."),
      code: text("Stable code: `inner-engine-timeout`, `probe-failed`, …"),
      why: text("In words."),
    }),
  )
  .describe("What could not be had, and why. Empty where the picture is whole.");

const address = z.strictObject({
  family: ipFamily,
  address: text("The interface's own address, without the prefix."),
  prefix: count("Length of the prefix, bits."),
  peer: z.string().nullable().describe("The other end's address, on a point-to-point link."),
  broadcast: z.string().nullable().describe("Broadcast address, where one is set."),
  scope: text("`global`, `link`, `host`, …: ip-address(8)."),
});

const traffic = (what: string) =>
  z
    .strictObject({
      packets: count("Packets since the interface was made."),
      bytes: count("Bytes of them."),
      dropped: count("Packets that the kernel dropped here."),
    })
    .nullable()
    .describe(what);

const link = z.strictObject({
  index: count("The kernel's number of it in this namespace."),
  name: text(
    "Its name in this namespace, where one is set with bytes that are no UTF-8 with U+FFFD in their place.",
  ),
  kind: text("`veth`, `bridge`, `vxlan`, `macvlan`, …; empty for loopback and hardware."),
  flags: z
    .array(z.string())
    .describe("`UP`, `LOWER_UP`, `NOARP`, …: netdevice(7), as ip(8) names them."),
  state: text("Operational state: `up`, `down`, `lowerlayerdown`, `unknown`, …"),
  mtu: count("Largest packet, bytes."),
  mac: z
    .string()
    .nullable()
    .describe("Six bytes in hex; null where its kind has another sort of address."),
  link: z
    .strictObject({
      index: count("Its number in its own namespace."),
      namespace: z
        .int()
        .positive()
        .nullable()
        .describe("Inode of the namespace that it is in; null where that is none of this host's."),
    })
    .nullable()
    .describe(
      "The interface that this one hangs on: the far end of a veth pair, the parent of a macvlan, ipvlan, vlan or vxlan.",
    ),
  master: z.string().nullable().describe("Name of the bridge that it is a port of."),
  addresses: z.array(address).describe("Its addresses, in the kernel's order."),
  forwarding: flag(
    "Whether IPv4 packets that come in here are forwarded (`net.ipv4.conf.<name>.forwarding`).",
  ),
  received: traffic("What came in; null where the kernel keeps no count."),
  sent: traffic("What went out."),
  vxlan: z
    .strictObject({
      id: count("The VNI."),
      port: count("UDP port of the tunnel."),
      remote: z
        .string()
        .nullable()
        .describe(
          "Where all goes that no forwarding entry names: an address or a multicast group.",
        ),
      local: z.string().nullable().describe("Source address of the tunnel."),
      device: z.string().nullable().describe("Interface that the tunnel leaves by."),
      learning: flag("Whether it learns from what arrives which VTEP a MAC address lies behind."),
      external: flag("Whether each packet names its own VNI."),
    })
    .nullable()
    .describe("Only of kind `vxlan`."),
  vlan: z
    .strictObject({ id: count("VLAN id.") })
    .nullable()
    .describe("Only of kind `vlan`."),
  macvlan: z
    .strictObject({ mode: text("`bridge`, `private`, `vepa`, `passthru`, `source`.") })
    .nullable()
    .describe("Only of kind `macvlan`."),
  ipvlan: z
    .strictObject({ mode: text("`l2`, `l3`, `l3s`.") })
    .nullable()
    .describe("Only of kind `ipvlan`."),
  bridge: z
    .strictObject({
      stp: flag("Whether it speaks the spanning tree protocol."),
      vlanFiltering: flag("Whether it looks at VLAN tags."),
      ageingSeconds: z.number().nonnegative().describe("How long it remembers a MAC address."),
    })
    .nullable()
    .describe("Only of kind `bridge`."),
  port: z
    .strictObject({
      state: text("Of the spanning tree: `forwarding`, `blocking`, `disabled`, …"),
      isolated: flag("Isolated ports do not talk to each other."),
      hairpin: flag("Whether a packet may leave by the port that it came in by."),
      learning: flag("Whether the bridge learns MAC addresses here."),
    })
    .nullable()
    .describe("Only of a port of a bridge."),
});

const route = z.strictObject({
  family: ipFamily,
  table: count("254 is `main`, 255 `local`."),
  type: text("`unicast`, `local`, `broadcast`, `blackhole`, `unreachable`, `prohibit`, …"),
  destination: text("`default`, or a prefix like `10.0.0.0/24`."),
  from: z.string().nullable().describe("Prefix that the source must be in."),
  source: z
    .string()
    .nullable()
    .describe("Source address that packets get where they have none yet."),
  metric: z.int().nonnegative().nullable().describe("The smaller one wins."),
  protocol: text("Who made it: `kernel`, `boot` (by hand), `static`, …"),
  scope: text("`global`, `link`, `host`."),
  hops: z
    .array(
      z.strictObject({
        gateway: z
          .string()
          .nullable()
          .describe("Next router; null where the destination is on the link."),
        interface: z.string().nullable().describe("Interface that it leaves by."),
        weight: count("Share among several hops."),
      }),
    )
    .describe("One for most routes, several for a multipath route, none for a blackhole."),
});

const rule = z.strictObject({
  family: ipFamily,
  priority: count("The smaller one is asked first."),
  not: flag("Whether the selector is turned round."),
  from: z.string().nullable().describe("Prefix of the source."),
  to: z.string().nullable().describe("Prefix of the destination."),
  incoming: z.string().nullable().describe("Interface that the packet came in by."),
  outgoing: z.string().nullable().describe("Interface that its socket is bound to."),
  mark: z.int().nonnegative().nullable().describe("Firewall mark."),
  action: text("`lookup`, `goto`, `blackhole`, `unreachable`, `prohibit`, …"),
  table: count("Table of routes that it leads to."),
});

const neighbour = z.strictObject({
  family: ipFamily,
  address: z.string().nullable().describe("IP address."),
  mac: z.string().nullable().describe("MAC address; null where nobody answered."),
  interface: z.string().nullable().describe("Interface that it is behind."),
  states: z
    .array(z.string())
    .describe("`REACHABLE`, `STALE`, `FAILED`, `PERMANENT`, …: ip-neighbour(8)."),
  proxy: flag("Whether this host answers for it."),
});

const forwardingEntry = z.strictObject({
  mac: z.string().nullable().describe("MAC address; all zeros stand for everything unknown."),
  interface: z.string().nullable().describe("Port, or vxlan interface, that it is behind."),
  bridge: z.string().nullable().describe("Bridge whose entry it is."),
  remote: z.string().nullable().describe("VTEP that it is behind."),
  vlan: z.int().nonnegative().nullable().describe("VLAN that it holds for."),
  states: z
    .array(z.string())
    .describe("`PERMANENT` for the bridge's own, `NOARP` for entries by hand."),
  flags: z.array(z.string()).describe("`self`, `master`, `extern_learn`, …: bridge(8)."),
});

const filterRule = z.strictObject({
  chain: text("Chain that it stands in; rules are in order."),
  packets: count("Packets that it matched."),
  bytes: count("Bytes of them."),
  options: z
    .array(
      z.strictObject({
        name: text("`-s`, `--dport`, `--ctstate`, …"),
        not: flag("Whether a `!` stands before it."),
        values: z.array(z.string()).describe("What stands behind it."),
      }),
    )
    .describe("Its options in order, without `-A` and `-j`: iptables(8), iptables-extensions(8)."),
  target: z.string().nullable().describe("What `-j` or `-g` says: `ACCEPT`, `DNAT`, a chain, …"),
  text: text("As iptables-save prints it."),
});

const filterTable = z.strictObject({
  family: z.enum(["ip", "ip6"]).describe("IPv4 or IPv6."),
  backend: z.enum(["nf_tables", "legacy"]).describe("Which of the two iptables it is of."),
  table: text("`filter`, `nat`, `mangle`, `raw`, `security`."),
  chains: z
    .array(
      z.strictObject({
        name: text("Name of the chain."),
        policy: z
          .string()
          .nullable()
          .describe("`ACCEPT` or `DROP`; null for a chain of one's own."),
        packets: count("Packets that met the policy."),
        bytes: count("Bytes of them."),
      }),
    )
    .describe("Chains in order."),
  rules: z.array(filterRule).describe("Rules of all its chains, in order."),
});

const netfilter = z.strictObject({
  tables: z
    .array(
      z.strictObject({
        family: text("`ip`, `ip6`, `inet`, `bridge`, `netdev`, `arp`."),
        name: text("Name of the table."),
        backend: z.enum(["nf_tables", "legacy"]).describe("Which subsystem has it."),
      }),
    )
    .describe("Tables that there are."),
  ruleset: z
    .strictObject({
      nft: z
        .array(z.record(z.string(), z.unknown()))
        .describe(
          "All of nf_tables, the `nftables` list of `nft -j list ruleset`: libnftables-json(5). What iptables put there says `xt`, and stands in full under `iptables`.",
        ),
      iptables: z
        .array(filterTable)
        .describe("Tables of iptables and ip6tables, of both backends."),
    })
    .nullable()
    .describe(
      "The rules. Null in a namespace, not the host's, that has nothing but tables `nat`: Docker's resolver puts one into each container.",
    ),
});

const socket = z.strictObject({
  protocol: z
    .enum(["tcp", "udp"])
    .describe("TCP sockets that listen, UDP sockets that are bound and not connected."),
  family: ipFamily,
  address: text("Address that it is bound to; `0.0.0.0` and `::` are all."),
  port: count("Port that it is bound to."),
  interface: z.string().nullable().describe("Interface that it is bound to."),
  onlyIpv6: flag("Of an IPv6 socket: whether it takes no IPv4."),
  uid: count("The socket's owner as the machine counts: a lab's root is no root there."),
});

const namespace = z.strictObject({
  inode: inode("Its identity: what `/proc/<pid>/ns/net` links to."),
  processes: z
    .array(z.int().positive())
    .describe("Some of the processes in it, at most 8, by the lab's numbers."),
  paths: z
    .array(z.string())
    .describe(
      "Paths that it is mounted at on the lab host, at most 8: what keeps it where no process does.",
    ),
  links: z.array(link).nullable().describe("Interfaces, with their addresses."),
  routes: z.array(route).nullable().describe("Routes of all tables."),
  rules: z.array(rule).nullable().describe("Rules that choose a table of routes."),
  neighbours: z.array(neighbour).nullable().describe("Which IP address has which MAC address."),
  forwarding: z
    .array(forwardingEntry)
    .nullable()
    .describe(
      "Which MAC address lies behind which port of a bridge, or which VTEP. Empty where there is neither bridge nor vxlan interface.",
    ),
  netfilter: netfilter.nullable().describe("The packet filter."),
  sockets: z.array(socket).nullable().describe("What listens."),
  sysctls: z
    .record(z.string(), z.int())
    .describe(
      "Some of `/proc/sys/net`, by name with dots; without those that this kernel has not.",
    ),
  missing,
});

const health = z.enum(["starting", "healthy", "unhealthy"]);

const container = z.strictObject({
  id: text("The engine's id of it, in full."),
  name: text("Its name, without the slash."),
  image: text("Image as it was named at the start."),
  imageId: text("Id of that image, `sha256:…`."),
  createdAtMs: count("Unix time, milliseconds."),
  state: text("`running`, `paused`, `exited`, `created`, `restarting`, `removing`, `dead`."),
  running: flag("Whether it has a process, be it paused."),
  paused: flag("Whether that is frozen."),
  pid: count("Its first process by the lab's numbers; 0 where there is none."),
  health: health
    .nullable()
    .describe("What its health check says; null without one, or where it does not run."),
  labels: pairs("Its labels."),
  environment: z
    .array(z.string())
    .nullable()
    .describe("Its environment, `NAME=value`; null where it does not run."),
  restartPolicy: z
    .string()
    .nullable()
    .describe("`no`, `always`, `unless-stopped`, `on-failure`; null where it does not run."),
  networkMode: text(
    "What it was started with: `bridge`, `host`, `none`, `container:…`, a network.",
  ),
  networks: z
    .array(
      z.strictObject({
        name: text("Name of the network."),
        id: text("Id of the network."),
        address: text("IPv4 address there; empty where it does not run."),
        prefix: count("Length of the prefix, bits."),
        gateway: text("Gateway there."),
        mac: text("MAC address there."),
      }),
    )
    .describe("Networks that it is in."),
  published: z
    .array(
      z.strictObject({
        hostAddress: text("Address of the host: `0.0.0.0` is all of them."),
        hostPort: count("Port of the host."),
        port: text("Port of the container: `80/tcp`."),
      }),
    )
    .describe("Ports of the host that lead to it."),
  mounts: z
    .array(
      z.strictObject({
        kind: text("`bind`, `volume`, `tmpfs`."),
        name: z.string().nullable().describe("Name of the volume."),
        source: text("What is mounted, as a path of the host."),
        target: text("Where it is seen in the container."),
        writable: flag("Whether the container may write there."),
      }),
    )
    .describe("What is mounted in it."),
  namespace: z
    .int()
    .positive()
    .nullable()
    .describe(
      "Inode of the network namespace that its process is in, as the kernel says; null where the lab has no such process, or it is none of this container's.",
    ),
});

const network = z.strictObject({
  id: text("The engine's id of it."),
  name: text("Its name."),
  driver: text("`bridge`, `overlay`, `macvlan`, `ipvlan`, `host`, `null`."),
  scope: text("`local` or `swarm`."),
  internal: flag("Whether it leads nowhere else."),
  attachable: flag("Whether containers that are no service's may join; of overlay networks."),
  bridge: z
    .string()
    .nullable()
    .describe("Interface that the engine names for it; only for driver `bridge`."),
  subnets: z
    .array(
      z.strictObject({
        subnet: text("`172.18.0.0/16`."),
        range: z.string().nullable().describe("Part of it that addresses are given out of."),
        gateway: z.string().nullable().describe("The host's address in it."),
      }),
    )
    .describe("What IPAM gives out."),
  options: pairs("Options of the driver."),
  labels: pairs("Its labels."),
});

const image = z.strictObject({
  id: text("`sha256:…`."),
  tags: z.array(z.string()).describe("Names that it bears: `nginx:latest`."),
  createdAtMs: z.int().describe("Unix time, milliseconds."),
  bytes: count("Its size, with all layers."),
});

const service = z.strictObject({
  id: text("The swarm's id of it."),
  name: text("Its name."),
  image: text("Image that its tasks run."),
  replicas: z
    .int()
    .nonnegative()
    .nullable()
    .describe("How many tasks there should be; null for one on each node."),
  running: z
    .int()
    .nonnegative()
    .nullable()
    .describe("How many run; null where the engine does not say."),
  networks: z.array(z.string()).describe("Ids of the networks that its tasks are in."),
  published: z
    .array(
      z.strictObject({
        port: text("Port of the tasks: `80/tcp`."),
        publishedPort: count("Port of each node."),
        mode: text("`ingress` or `host`."),
      }),
    )
    .describe("Ports that lead to it."),
});

const engine = z.strictObject({
  version: text("Version of the engine in the lab: `26.1.5+dfsg1`."),
  swarm: z
    .strictObject({
      state: text("`inactive`, `pending`, `active`, `error`, `locked`."),
      manager: flag("Whether this node is a manager."),
    })
    .describe("This node of the swarm."),
});

const host = z.strictObject({
  name: text("The machine's name in the lab."),
  namespace: inode("Inode of the host's own network namespace."),
  namespaces: z
    .array(namespace)
    .describe(
      "Every network namespace of the host: its own first, then those that processes are in, that `ip netns` knows, and that nothing but a mount keeps.",
    ),
  named: z
    .array(
      z.strictObject({
        name: text("Name of the entry in `/run/netns`."),
        namespace: z
          .int()
          .positive()
          .nullable()
          .describe("Inode; null where the name leads to no network namespace."),
      }),
    )
    .nullable()
    .describe("What `ip netns list` shows, by name."),
  engine: engine
    .nullable()
    .describe("The engine in the lab; null where there is none, or it did not say."),
  containers: z.array(container).nullable().describe("All containers, stopped ones too."),
  networks: z.array(network).nullable().describe("Its networks."),
  images: z.array(image).nullable().describe("Its images."),
  services: z.array(service).nullable().describe("Services of the swarm, as a manager knows them."),
  missing,
});

export const labFactsSchema = z
  .strictObject({
    version: z.literal(FACTS_VERSION).describe("Version of this shape."),
    lab: text("Id of the lab."),
    topology: text("What it was made by: `iptables`."),
    takenAtMs: count("Unix time, milliseconds."),
    hosts: z.array(host).describe("The Docker hosts, in the order of the topology."),
    neighbours: z
      .array(host)
      .describe(
        "Machines of the lab that are no Docker hosts: engine, containers, networks, images and services are null there.",
      ),
  })
  .describe("One picture of a lab.");

export type LabFacts = z.output<typeof labFactsSchema>;
export type HostFacts = z.output<typeof host>;
export type NamespaceFacts = z.output<typeof namespace>;
export type LinkFacts = z.output<typeof link>;
export type ContainerFacts = z.output<typeof container>;
export type NetworkFacts = z.output<typeof network>;
export type MissingFacts = z.output<typeof missing>[number];
export type FilterTable = z.output<typeof filterTable>;
export type FilterRule = z.output<typeof filterRule>;

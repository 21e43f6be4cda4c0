import { BlockList } from "node:net";
import type { Lab } from "../../../sandbox/index.ts";
import { check, type Exercise, fail, pass, type Step } from "../../core/exercise.ts";
import { en, joined, ru, type Text, words } from "../../core/text.ts";
import { allAddresses, type HostModel, list, type NamespaceModel } from "../../facts/model.ts";

const VNI = 42;
const PORT = 4789;

const spaces = ({ namespace, named }: HostModel): readonly NamespaceModel[] => [
  namespace,
  ...Object.values(named).filter((each) => each !== null),
];

const tunnels = check({
  id: "vxlan-on-both",
  title: {
    en: `Each host has a vxlan interface with VNI ${VNI} and UDP port ${PORT}`,
    ru: `На каждом хосте есть интерфейс vxlan с VNI ${VNI} и портом UDP ${PORT}`,
  },
  async run({ facts }) {
    const { hosts } = await facts();
    const without = hosts.filter(
      (host) =>
        !spaces(host).some((space) =>
          space.links.some(({ vxlan }) => vxlan?.id === VNI && vxlan.port === PORT),
        ),
    );
    if (hosts.length >= 2 && without.length === 0) return pass();
    const told = hosts.map((host) => {
      const each = spaces(host).flatMap(({ links }) =>
        links.flatMap(({ name, vxlan }) =>
          vxlan === null ? [] : [`${name} id ${vxlan.id} port ${vxlan.port}`],
        ),
      );
      return words`${host.name}: ${list(each)}`;
    });
    const command = `ip link add … type vxlan id ${VNI} dstport ${PORT} remote …`;
    return fail(
      { en: `vxlan ${VNI} on port ${PORT} on both`, ru: `vxlan ${VNI} на порту ${PORT} на обоих` },
      joined(told, "; "),
      {
        en: `${command}: without dstport Linux takes another port.`,
        ru: `${command}: без dstport Linux возьмёт другой порт.`,
      },
    );
  },
});

interface End {
  readonly name: string;
  readonly address: string;
  readonly prefix: number;
}

/** As many pairs of ends are tried, those of one subnet first: a host may have namespaces for other things. */
const MOST_PAIRS = 8;

function likelyPairs(
  left: readonly End[],
  right: readonly End[],
): readonly (readonly [End, End])[] {
  const share = ([first, second]: readonly [End, End]) => {
    const subnet = new BlockList();
    subnet.addSubnet(first.address, first.prefix);
    return Number(subnet.check(second.address));
  };
  return left
    .flatMap((first) => right.map((second) => [first, second] as const))
    .toSorted((a, b) => share(b) - share(a))
    .slice(0, MOST_PAIRS);
}

const ends = check<readonly [readonly End[], readonly End[]]>({
  id: "namespace-on-each",
  title: {
    en: "Each host has a network namespace of its own with an address",
    ru: "На каждом хосте есть сетевое пространство имён с адресом",
  },
  async run({ facts }) {
    const { hosts } = await facts();
    const found = hosts.map((host) =>
      Object.entries(host.named).flatMap(([name, space]): End[] =>
        space === null || space.inode === host.namespace.inode
          ? []
          : allAddresses(space)
              .filter((each) => each.interface !== "lo")
              .map(({ address, prefix }) => ({ name, address, prefix })),
      ),
    );
    const [first = [], second = []] = found;
    if (first.length > 0 && second.length > 0) return pass([first, second] as const);
    const told = hosts.map(
      ({ name }, index) =>
        words`${name}: ${list((found[index] ?? []).map((end) => `${end.name} ${end.address}`))}`,
    );
    return fail(
      {
        en: "a named network namespace with an IPv4 address on each host",
        ru: "на каждом хосте именованное сетевое пространство имён с адресом IPv4",
      },
      joined(told, "; "),
    );
  },
});

async function across(lab: Lab, way: readonly [string, End, string, End], signal: AbortSignal) {
  const [fromHost, from, toHost, to] = way;
  return lab
    .host(fromHost)
    .hand()
    .ping(
      {
        from: { kind: "named", name: from.name },
        target: { kind: "named", name: to.name },
        targetHost: toHost,
        address: to.address,
        underlay: { kind: "outside" },
        count: 3,
        intervalMs: 50,
      },
      { signal },
    );
}

const carried = check({
  id: "reach-over-vxlan",
  title: {
    en: `They reach each other, and the underlay carries it in UDP ${PORT} with VNI ${VNI}`,
    ru: `Они дотягиваются друг до друга, и по нижележащей сети это идёт в UDP ${PORT} с VNI ${VNI}`,
  },
  needs: { tunnels, ends },
  timeoutMs: 40_000,
  async run({ lab, signal, ends: [left, right] }) {
    const expected = {
      en: "3 of 3 echo requests each way, each inside VXLAN on the underlay",
      ru: "3 из 3 эхо-запросов в каждую сторону, каждый внутри VXLAN в нижележащей сети",
    };
    const told: Text[] = [];
    for (const [first, second] of likelyPairs(left, right)) {
      const there = await across(lab, ["host1", first, "host2", second], signal);
      const back = await across(lab, ["host2", second, "host1", first], signal);
      const whole = [there, back].every(
        (ping) => ping.arrived === 3 && ping.received === 3 && ping.vxlan[VNI] === 3,
      );
      if (whole) {
        const [one, other] = [first.address, second.address];
        return pass(undefined, { en: `${one} and ${other}`, ru: `${one} и ${other}` });
      }
      const seen = list(
        Object.entries(there.vxlan).map(([vni, count]) => ({
          en: `${count} with VNI ${vni}`,
          ru: `${count} с VNI ${vni}`,
        })),
      );
      told.push({
        en: en`${first.name} to ${second.name}: ${there.arrived} of 3 arrived, ${back.arrived} of 3 the other way, in VXLAN: ${seen}`,
        ru: ru`от ${first.name} до ${second.name}: дошло ${there.arrived} из 3, обратно ${back.arrived} из 3, в VXLAN: ${seen}`,
      });
    }
    const hint = {
      en: "tcpdump -ni eth0 udp port 4789 on both hosts shows whether the tunnel sends, and to whom.",
      ru: "tcpdump -ni eth0 udp port 4789 на обоих хостах покажет, отправляет ли туннель что-нибудь и кому.",
    };
    return fail(expected, joined(told, "; "), hint);
  },
});

/** One host's side, with its number; `vxlan` are options of the tunnel. */
const side = (host: 1 | 2, vxlan: string, more = ""): Step => ({
  host: `host${host}`,
  script: `set -e
    ip netns add blue; ip link add br42 type bridge; ip link set br42 up
    ip link add vx42 type vxlan ${vxlan}; ip link set vx42 master br42 up
    ip link add near type veth peer name eth0 netns blue; ip link set near master br42 up
    ip -n blue addr add 10.42.0.${host}/24 dev eth0; ip -n blue link set eth0 up
    iptables -I FORWARD -i br42 -o br42 -j ACCEPT
    ${more}`,
});
const remote = (host: 1 | 2) => `remote 10.77.0.1${3 - host} local 10.77.0.1${host} dev eth0`;
const pair = (vxlan: (host: 1 | 2) => string, more = "") => [
  side(1, vxlan(1), more),
  side(2, vxlan(2), more),
];

export const vxlanByHand: Exercise = {
  id: "overlay/vxlan-by-hand",
  title: { en: "A tunnel between two hosts by hand", ru: "Туннель между двумя хостами вручную" },
  lesson: "overlay",
  lab: "overlay",
  requires: ["vxlan"],
  checks: [tunnels, ends, carried],
  solutions: [
    {
      name: "unicast",
      title: "Each end knows the other",
      script: pair((host) => `id 42 dstport 4789 ${remote(host)}`),
    },
    {
      name: "multicast",
      title: "The ends find each other by a multicast group",
      script: pair(() => "id 42 dstport 4789 group 239.1.1.1 dev eth0"),
    },
    {
      name: "fdb",
      title: "The other end is written into the forwarding table",
      script: ([1, 2] as const).map((host) =>
        side(
          host,
          `id 42 dstport 4789 local 10.77.0.1${host}`,
          `bridge fdb append 00:00:00:00:00:00 dev vx42 dst 10.77.0.1${3 - host}`,
        ),
      ),
    },
    {
      name: "in-namespace",
      title: "The tunnel's interface is in the namespace itself, without a bridge",
      script: ([1, 2] as const).map((host) => ({
        host: `host${host}`,
        script: `ip netns add red; ip link add vx42 type vxlan id 42 dstport 4789 ${remote(host)}
          ip link set vx42 netns red; ip -n red addr add 10.42.0.${host}/24 dev vx42; ip -n red link set vx42 up`,
      })),
    },
    {
      name: "among-others",
      title: "The hosts have namespaces for other things as well",
      script: pair(
        (host) => `id 42 dstport 4789 ${remote(host)}`,
        `for n in 1 2 3 4 5; do
          ip netns add a$n; ip -n a$n link add d0 type bridge; ip -n a$n link set d0 up
          ip -n a$n addr add 10.90.$n.$(hostname | tr -dc 0-9)/32 dev d0
        done`,
      ),
    },
  ],
  wrongAnswers: [
    {
      name: "one-side",
      title: "One host only",
      rejectedBy: "vxlan-on-both",
      script: [side(1, `id 42 dstport 4789 ${remote(1)}`)],
    },
    {
      name: "other-vni",
      title: "Another VNI",
      rejectedBy: "vxlan-on-both",
      script: pair((host) => `id 43 dstport 4789 ${remote(host)}`),
    },
    {
      name: "default-port",
      title: "The port that Linux takes by itself",
      rejectedBy: "vxlan-on-both",
      script: pair((host) => `id 42 dstport 8472 ${remote(host)}`),
    },
    {
      name: "routed",
      title: "Routes over the underlay do the work",
      rejectedBy: "reach-over-vxlan",
      script: ([1, 2] as const).map((host) => ({
        host: `host${host}`,
        script: `ip link add vx42 type vxlan id 42 dstport 4789 ${remote(host)}; ip link set vx42 up
          ip netns add blue; ip link add near type veth peer name eth0 netns blue; ip link set near up
          ip addr add 10.4${host}.0.254/24 dev near; ip -n blue addr add 10.4${host}.0.1/24 dev eth0
          ip -n blue link set eth0 up; ip -n blue route add default via 10.4${host}.0.254
          ip route add 10.4${3 - host}.0.0/24 via 10.77.0.1${3 - host}; sysctl -qw net.ipv4.ip_forward=1
          iptables -I FORWARD -j ACCEPT`,
      })),
    },
    {
      name: "wrong-remote",
      title: "The tunnel leads to nobody",
      rejectedBy: "reach-over-vxlan",
      script: pair(
        (host) => `id 42 dstport 4789 remote 10.77.0.99 local 10.77.0.1${host} dev eth0`,
      ),
    },
    {
      name: "tunnel-down",
      title: "The interface is down",
      rejectedBy: "reach-over-vxlan",
      script: pair((host) => `id 42 dstport 4789 ${remote(host)}`, "ip link set vx42 down"),
    },
    {
      name: "same-address",
      title: "The same address on both sides",
      rejectedBy: "reach-over-vxlan",
      script: pair(
        (host) => `id 42 dstport 4789 ${remote(host)}`,
        "ip -n blue addr flush dev eth0; ip -n blue addr add 10.42.0.9/24 dev eth0",
      ),
    },
  ],
};

import type { NamespaceRef, TrustedHand } from "../../../sandbox/index.ts";
import { type FreshContainer, removeFresh, startFresh } from "../../checks/fresh-container.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, ru } from "../../core/text.ts";
import { collectHost } from "../../facts/collect.ts";
import {
  allAddresses,
  type BridgeNetwork,
  bridgePorts,
  firstHost,
  list,
} from "../../facts/model.ts";

const ID = "bridge/custom-options";
const NAME = "my-bridge-003";
const OUTSIDE = "10.77.0.1";

const exists = check<BridgeNetwork>({
  id: "network-exists",
  title: {
    en: `Network ${NAME} exists, with the bridge driver`,
    ru: `Сеть ${NAME} есть, и её драйвер — bridge`,
  },
  async run({ facts }) {
    const { networks } = firstHost(await facts());
    const found = networks.find(({ name }) => name === NAME);
    const expected = { en: `a bridge network ${NAME}`, ru: `сеть ${NAME} с драйвером bridge` };
    if (found === undefined) {
      const names = list(networks.map(({ name }) => name).toSorted());
      return fail(expected, { en: en`networks: ${names}`, ru: ru`сети: ${names}` });
    }
    if (found.bridge === null) {
      return fail(expected, {
        en: `its driver is ${found.driver}`,
        ru: `её драйвер — ${found.driver}`,
      });
    }
    return pass({ ...found, bridge: found.bridge });
  },
});

const subnet = check({
  id: "subnet",
  title: { en: "Its bridge is in 172.25.0.0/16", ru: "Адрес её моста — из 172.25.0.0/16" },
  needs: { network: exists },
  async run({ facts, network: { bridge } }) {
    const { namespace } = firstHost(await facts());
    const held = allAddresses(namespace).filter((each) => each.interface === bridge);
    if (held.some(({ address, prefix }) => address.startsWith("172.25.") && prefix === 16))
      return pass();
    const actual = held.map(({ address, prefix }) => `${address}/${prefix}`);
    return fail(
      { en: `${bridge} has an address of 172.25.0.0/16`, ru: `у ${bridge} адрес из 172.25.0.0/16` },
      list(actual),
      { en: "Option --subnet", ru: "Ключ --subnet" },
    );
  },
});

interface Seen {
  readonly ends: readonly {
    readonly name: string;
    readonly address: string;
    readonly prefix: number;
  }[];
  /** What of one came in at the other: `ping`, `tcp`, `udp`. */
  readonly between: readonly string[];
  /** What the gateway outside saw as its source, by the same names; without what did not arrive there. */
  readonly sources: Readonly<Record<string, string>>;
}

const PORT = 9;

/** By which source each protocol is seen in the target; those that do not arrive are left out. */
async function arrivals(
  hand: TrustedHand,
  aim: { readonly from: NamespaceRef; readonly target: NamespaceRef; readonly address: string },
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const timing = { count: 3, intervalMs: 30, lastReplyWaitMs: 400 };
  const probe = { ...aim, port: PORT, waitMs: 400 };
  const [ping, tcp, udp] = await Promise.all([
    hand.ping({ ...aim, ...timing }, { signal }),
    hand.tcp(probe, { signal }),
    hand.udp(probe, { signal }),
  ]);
  // Nothing listens there: that it came in is enough.
  const seen = { ping: ping.sources[0], tcp: tcp.from, udp: udp.from };
  return Object.fromEntries(
    Object.entries(seen).flatMap(([name, from]) => (from ? [[name, from]] : [])),
  );
}

/** Two containers in the network, and what becomes of their packets. */
const observed = check<Seen, { network: typeof exists }>({
  id: "containers-start",
  title: { en: "Fresh containers start in it", ru: "В ней запускаются новые контейнеры" },
  startsContainers: true,
  needs: { network: exists },
  timeoutMs: 45_000,
  async run({ lab, network, signal }) {
    const host = lab.host();
    await using cleanup = new AsyncDisposableStack();
    const started: FreshContainer[] = [];
    for (let count = 0; count < 2; count += 1) {
      const fresh = await startFresh(host, network.id, ID);
      if ("refused" in fresh) {
        const expected = {
          en: `two containers start in ${NAME}`,
          ru: `в ${NAME} запускаются два контейнера`,
        };
        return fail(expected, fresh.refused);
      }
      started.push(fresh);
      cleanup.defer(() => removeFresh(host, fresh));
    }
    const now = await collectHost(host, signal);
    const fresh = started.flatMap(({ id }) => now.containers.filter((each) => each.id === id));
    const ends = fresh.flatMap(({ namespace: inside }) => {
      const port =
        inside &&
        bridgePorts(inside, now.namespace).find(({ bridge }) => bridge === network.bridge);
      const address =
        inside && allAddresses(inside).find((each) => each.interface === port?.inside);
      return address
        ? [{ name: address.interface, address: address.address, prefix: address.prefix }]
        : [];
    });
    const [first, second] = started;
    const [, to] = ends;
    if (first === undefined || second === undefined || to === undefined || ends.length < 2) {
      const plugged = fresh.map(({ name, namespace: inside }) => {
        const ports = inside ? bridgePorts(inside, now.namespace) : [];
        const bridges = list(ports.map(({ bridge }) => bridge));
        return { en: en`${name} into ${bridges}`, ru: ru`${name} — мосты: ${bridges}` };
      });
      return fail(
        {
          en: `their interfaces are ports of ${network.bridge}`,
          ru: `их интерфейсы — порты моста ${network.bridge}`,
        },
        { en: en`plugged: ${list(plugged)}`, ru: ru`подключения: ${list(plugged)}` },
      );
    }
    const from = { kind: "pid", pid: first.pid } as const;
    const target = { kind: "pid", pid: second.pid } as const;
    const outside = { kind: "outside" } as const;
    const between = await arrivals(host.hand(), { from, target, address: to.address }, signal);
    const sources = await arrivals(
      host.hand(),
      { from, target: outside, address: OUTSIDE },
      signal,
    );
    return pass({ ends, between: Object.keys(between), sources });
  },
});

const range = check({
  id: "address-range",
  title: {
    en: "Containers get addresses of 172.25.100.0/24, with the prefix of the subnet",
    ru: "Контейнеры получают адреса из 172.25.100.0/24 с префиксом подсети",
  },
  needs: { observed },
  run({ observed: { ends } }) {
    const good = ends.every(
      ({ address, prefix }) => address.startsWith("172.25.100.") && prefix === 16,
    );
    const actual = list(ends.map(({ address, prefix }) => `${address}/${prefix}`));
    return good
      ? pass(undefined, actual)
      : fail("172.25.100.…/16", actual, { en: "Option --ip-range", ru: "Ключ --ip-range" });
  },
});

const prefix = check({
  id: "interface-prefix",
  title: { en: "Their interfaces are called intf0", ru: "Их интерфейсы называются intf0" },
  needs: { observed },
  run({ observed: { ends } }) {
    const names = list(ends.map(({ name }) => name));
    if (ends.every(({ name }) => /^intf\d+$/.test(name))) return pass(undefined, names);
    return fail(
      { en: "intf0 in each", ru: "intf0 в каждом" },
      names,
      "--opt com.docker.network.container_iface_prefix=…",
    );
  },
});

const noMasquerade = check({
  id: "no-masquerade",
  title: {
    en: "What leaves the host keeps the container's own source address",
    ru: "То, что уходит с хоста, сохраняет адрес самого контейнера",
  },
  needs: { observed },
  run({ observed: { ends, sources } }) {
    const expected = {
      en: "the gateway outside sees the container's own address",
      ru: "шлюз снаружи видит адрес самого контейнера",
    };
    const [first] = ends;
    const seen = Object.entries(sources);
    if (seen.length === 0) {
      return fail(expected, {
        en: "nothing of the container's arrives there",
        ru: "от контейнера туда ничего не доходит",
      });
    }
    const told = list(
      seen.map(([what, source]) => ({ en: `${what} from ${source}`, ru: `${what} от ${source}` })),
    );
    if (seen.every(([, source]) => source === first?.address)) return pass(undefined, told);
    const hint = "--opt com.docker.network.bridge.enable_ip_masquerade=…";
    return fail(expected, { en: en`it sees ${told}`, ru: ru`он видит: ${told}` }, hint);
  },
});

const noIcc = check({
  id: "no-communication",
  title: {
    en: "Containers in it do not reach each other",
    ru: "Контейнеры в ней не дотягиваются друг до друга",
  },
  needs: { observed },
  run({ observed: { between } }) {
    if (between.length === 0) return pass();
    const hint = "--opt com.docker.network.bridge.enable_icc=…";
    return fail(
      {
        en: "no packet from one arrives at the other",
        ru: "ни один пакет от одного до другого не доходит",
      },
      { en: en`there arrived: ${list(between)}`, ru: ru`дошло: ${list(between)}` },
      hint,
    );
  },
});

const options = {
  subnet: "--subnet 172.25.0.0/16",
  range: "--ip-range 172.25.100.0/24",
  prefix: "--opt com.docker.network.container_iface_prefix=intf",
  masquerade: "--opt com.docker.network.bridge.enable_ip_masquerade=false",
  icc: "--opt com.docker.network.bridge.enable_icc=false",
};
const create = (changed: Partial<typeof options> = {}) =>
  `docker network create --driver bridge ${Object.values({ ...options, ...changed }).join(" ")} ${NAME}\n`;

export const customOptions: Exercise = {
  id: ID,
  title: { en: "A bridge network with options", ru: "Сеть bridge с настройками" },
  lesson: "bridge",
  lab: "bridge",
  requires: [],
  checks: [exists, subnet, observed, range, prefix, noMasquerade, noIcc],
  solutions: [
    { name: "options", title: "As the lecture shows it", script: create() },
    {
      name: "compose",
      title: "Declared in a compose file",
      script: `mkdir -p /root/net && cd /root/net && cat > compose.yaml <<'Y'
services: {one: {image: busybox, command: sleep infinity, networks: [n]}}
networks:
  n:
    name: ${NAME}
    driver_opts:
      com.docker.network.container_iface_prefix: intf
      com.docker.network.bridge.enable_ip_masquerade: "false"
      com.docker.network.bridge.enable_icc: "false"
    ipam: {config: [{subnet: 172.25.0.0/16, ip_range: 172.25.100.0/24}]}
Y
docker compose up -d`,
    },
    {
      name: "api",
      title: "Asked of the engine's API, with a name for the bridge",
      script: `curl -sf --unix-socket /run/docker.sock -H 'Content-Type: application/json' http://localhost/v1.41/networks/create -d '{
        "Name": "${NAME}", "Driver": "bridge", "IPAM": {"Config": [{"Subnet": "172.25.0.0/16", "IPRange": "172.25.100.0/24"}]},
        "Options": {"com.docker.network.bridge.name": "br3", "com.docker.network.container_iface_prefix": "intf",
          "com.docker.network.bridge.enable_ip_masquerade": "false", "com.docker.network.bridge.enable_icc": "false"}}'`,
    },
    {
      name: "by-rules",
      title: "Masquerading and communication taken away by rules",
      script: `${create({ masquerade: "", icc: "" })}
        b=br-$(docker network inspect -f '{{.Id}}' ${NAME} | cut -c1-12)
        iptables -I DOCKER-USER -i $b -o $b -j DROP
        iptables -t nat -I POSTROUTING -s 172.25.0.0/16 -j ACCEPT`,
    },
  ],
  wrongAnswers: [
    {
      name: "plain",
      title: "Without options",
      rejectedBy: "subnet",
      script: `docker network create ${NAME}`,
    },
    {
      name: "no-range",
      title: "Without the range",
      rejectedBy: "address-range",
      script: create({ range: "" }),
    },
    {
      name: "no-prefix",
      title: "Without the prefix",
      rejectedBy: "interface-prefix",
      script: create({ prefix: "" }),
    },
    {
      name: "masquerades",
      title: "With masquerading",
      rejectedBy: "no-masquerade",
      script: create({ masquerade: "" }),
    },
    {
      name: "communicates",
      title: "With communication",
      rejectedBy: "no-communication",
      script: create({ icc: "" }),
    },
    {
      name: "icmp-alone",
      title: "A rule that drops pings between them, and nothing else",
      rejectedBy: "no-communication",
      script: `${create({ icc: "" })}b=br-$(docker network inspect -f '{{.Id}}' ${NAME} | cut -c1-12)
        iptables -I DOCKER-USER -i $b -o $b -p icmp -j DROP`,
    },
    {
      name: "icmp-unmasqueraded",
      title: "Pings keep their address, and connections do not",
      rejectedBy: "no-masquerade",
      script: `${create({ masquerade: "" })}iptables -t nat -I POSTROUTING -p icmp -s 172.25.0.0/16 -j ACCEPT`,
    },
    {
      name: "one-address",
      title: "A range with no address left",
      rejectedBy: "containers-start",
      script: create({ range: "--ip-range 172.25.100.0/32 --gateway 172.25.100.0" }),
    },
    {
      name: "macvlan",
      title: "Another driver",
      rejectedBy: "network-exists",
      script: `docker network create -d macvlan -o parent=eth0 --subnet 172.25.0.0/16 ${NAME}`,
    },
    {
      name: "labels-only",
      title: "The options are there, and rules undo them",
      rejectedBy: "no-communication",
      script: `${create()}iptables -I DOCKER-USER -j ACCEPT`,
    },
    {
      name: "smaller-subnet",
      title: "The range as the subnet",
      rejectedBy: "subnet",
      script: create({ subnet: "--subnet 172.25.100.0/24", range: "" }),
    },
  ],
};

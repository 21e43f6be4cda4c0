import { z } from "zod";
import type { RunningContainer } from "../../checks/containers.ts";
import { check, type Exercise, fail, pass, type Step } from "../../core/exercise.ts";
import { en, joined, ru, type Text, words } from "../../core/text.ts";
import { ask } from "../../facts/inner-engine.ts";
import { type ContainerModel, list } from "../../facts/model.ts";

const EMBEDDED = "127.0.0.11";

const info = z.object({
  Swarm: z.object({
    NodeID: z.string(),
    LocalNodeState: z.string(),
    ControlAvailable: z.boolean(),
  }),
});
const nodes = z.array(z.object({ ID: z.string() }));

const swarm = check({
  id: "two-node-swarm",
  title: { en: "Both hosts are nodes of one swarm", ru: "Оба хоста — узлы одного Swarm" },
  async run({ lab, signal }) {
    const hosts = lab.hosts.map(({ name }) => lab.host(name));
    const told = await Promise.all(
      hosts.map(async (host) => info.parse(await ask(host, { path: "/info", signal })).Swarm),
    );
    const expected = {
      en: "an active node on each host, of one swarm",
      ru: "на каждом хосте активный узел, и оба в одном Swarm",
    };
    const states = told.map(
      ({ LocalNodeState }, index) => `${hosts[index]?.name}: ${LocalNodeState}`,
    );
    const hint = {
      en: "docker swarm init --advertise-addr … on one host prints the command for the other one.",
      ru: "docker swarm init --advertise-addr … на одном хосте напечатает команду для другого.",
    };
    if (told.length < 2 || told.some(({ LocalNodeState }) => LocalNodeState !== "active")) {
      return fail(expected, list(states), hint);
    }
    const managers = hosts.filter((_, index) => told[index]?.ControlAvailable);
    for (const manager of managers) {
      const known = nodes.parse(await ask(manager, { path: "/nodes", signal })).map(({ ID }) => ID);
      if (told.every(({ NodeID }) => known.includes(NodeID))) return pass();
    }
    return fail(
      expected,
      { en: "each is in a swarm of its own", ru: "каждый в своём собственном Swarm" },
      {
        en: "docker swarm leave --force, then join.",
        ru: "docker swarm leave --force, потом join.",
      },
    );
  },
});

const networks = check<readonly string[]>({
  id: "attachable-overlay",
  title: {
    en: "There is an attachable overlay network",
    ru: "Есть оверлейная сеть, к которой можно подключаться (attachable)",
  },
  needs: { swarm },
  async run({ facts }) {
    const { hosts } = await facts();
    const all = hosts
      .flatMap((host) => host.networks)
      .filter(({ driver, name }) => driver === "overlay" && name !== "ingress");
    const found = [...new Set(all.filter(({ attachable }) => attachable).map(({ name }) => name))];
    if (found.length > 0) return pass(found, list(found));
    const names = list(
      all.map(({ name }) => ({ en: `${name}, not attachable`, ru: `${name}, не attachable` })),
    );
    return fail(
      {
        en: "an overlay network that containers may join",
        ru: "оверлейная сеть, к которой могут подключаться контейнеры",
      },
      { en: en`overlay networks: ${names}`, ru: ru`оверлейные сети: ${names}` },
      {
        en: "docker network create -d overlay --attachable …, on a manager",
        ru: "docker network create -d overlay --attachable …, на управляющем узле",
      },
    );
  },
});

interface Pair {
  readonly network: string;
  readonly one: RunningContainer;
  readonly other: RunningContainer;
}

const pair = check<Pair, { networks: typeof networks }>({
  id: "container-on-each",
  title: {
    en: "A container of it runs on each host",
    ru: "На каждом хосте в ней работает контейнер",
  },
  needs: { networks },
  async run({ facts, networks: names }) {
    const { hosts } = await facts();
    const told: Text[] = [];
    for (const network of names) {
      const isMember = (each: ContainerModel): each is RunningContainer =>
        each.running &&
        !each.paused &&
        each.namespace !== null &&
        each.networks[network] !== undefined;
      const members = hosts.map(({ containers }) => containers.filter(isMember));
      const [one, other] = members.map((each) => each[0]);
      if (one !== undefined && other !== undefined) return pass({ network, one, other }, network);
      const where = hosts.map(
        (host, index) =>
          words`${host.name}: ${list((members[index] ?? []).map((each) => each.name))}`,
      );
      const seen = joined(where, ", ");
      told.push({ en: en`in ${network}: ${seen}`, ru: ru`в ${network}: ${seen}` });
    }
    return fail(
      {
        en: en`a running container on host1 and on host2, in ${list(names)}`,
        ru: ru`по работающему контейнеру на host1 и на host2 в сети ${list(names)}`,
      },
      joined(told, "; "),
    );
  },
});

const ways = ({ one, other }: Pair) =>
  [
    ["host1", one, "host2", other],
    ["host2", other, "host1", one],
  ] as const;

const names = check({
  id: "names-resolve",
  title: { en: "Each finds the other by its name", ru: "Каждый находит другого по имени" },
  needs: { pair },
  async run({ lab, signal, pair: both }) {
    const { network: name } = both;
    for (const [host, from, , to] of ways(both)) {
      const probe = {
        from: { kind: "pid", pid: from.pid },
        server: EMBEDDED,
        name: to.name,
      } as const;
      const { addresses } = await lab.host(host).hand().dns(probe, { signal });
      const address = to.networks[name]?.address ?? "";
      if (!addresses.includes(address)) {
        return fail(
          {
            en: `${from.name} finds ${to.name} at ${address}`,
            ru: `${from.name} находит ${to.name} по адресу ${address}`,
          },
          { en: en`it finds: ${list(addresses)}`, ru: ru`найдено: ${list(addresses)}` },
        );
      }
    }
    return pass();
  },
});

const carried = check({
  id: "ping-over-vxlan",
  title: {
    en: "Each pings the other, and VXLAN carries it between the hosts",
    ru: "Они пингуют друг друга, и между хостами пакеты идут внутри VXLAN",
  },
  needs: { pair },
  timeoutMs: 30_000,
  async run({ lab, signal, pair: both }) {
    const { network: name } = both;
    for (const [host, from, toHost, to] of ways(both)) {
      const probe = {
        from: { kind: "pid", pid: from.pid },
        target: { kind: "pid", pid: to.pid },
        targetHost: toHost,
        address: to.networks[name]?.address ?? "",
        underlay: { kind: "outside" },
        count: 3,
        intervalMs: 50,
      } as const;
      const ping = await lab.host(host).hand().ping(probe, { signal });
      const inTunnel = Math.max(0, ...Object.values(ping.vxlan));
      if (ping.arrived !== 3 || ping.received !== 3 || inTunnel !== 3) {
        const { arrived, received } = ping;
        return fail(
          { en: "3 of 3 each way, inside VXLAN", ru: "3 из 3 в каждую сторону, внутри VXLAN" },
          {
            en: `${from.name} to ${to.name}: ${arrived} of 3 arrived, ${received} came back, ${inTunnel} in VXLAN`,
            ru: `от ${from.name} до ${to.name}: дошло ${arrived} из 3, вернулось ${received}, в VXLAN — ${inTunnel}`,
          },
          {
            en: "Do the hosts reach each other on UDP 4789 and 7946?",
            ru: "Дотягиваются ли хосты друг до друга по UDP 4789 и 7946?",
          },
        );
      }
    }
    return pass();
  },
});

const init = "docker swarm init --advertise-addr 10.77.0.11 >/dev/null\n";
const token = "docker swarm join-token -q worker\n";
const join = "docker swarm join --token $PREVIOUS 10.77.0.11:2377\n";
const create = (options = "--attachable") =>
  `docker network create -d overlay ${options} wide >/dev/null\n`;
const run = (name: string, where = "wide") =>
  `docker run -d --name ${name} --network ${where} busybox sleep infinity\n`;
const steps = (first: string, second: string, third = ""): readonly Step[] => [
  { host: "host1", script: `set -e\n${init}${token}` },
  { host: "host2", script: join },
  { host: "host1", script: `set -e\n${first}` },
  { host: "host2", script: `set -e\n${second}` },
  { host: "host1", script: `${third}sleep 1` },
];

export const swarmAttachable: Exercise = {
  id: "overlay/swarm-attachable",
  title: { en: "One network over two hosts", ru: "Одна сеть поверх двух хостов" },
  lesson: "overlay",
  lab: "overlay",
  requires: ["vxlan"],
  checks: [swarm, networks, pair, names, carried],
  solutions: [
    {
      name: "worker",
      title: "A manager and a worker",
      script: steps(create() + run("one"), run("two")),
    },
    {
      name: "two-networks",
      title: "An attachable network before it, in which nobody is",
      script: steps(
        `docker network create -d overlay --attachable unused >/dev/null\n${create()}${run("one")}`,
        run("two"),
      ),
    },
    {
      name: "service",
      title: "The containers are a service's tasks, one on each host",
      script: steps(
        `${create()}docker service create -q --name app --mode global --network wide --endpoint-mode dnsrr --no-resolve-image busybox sleep infinity`,
        "until [ $(docker ps -q | wc -l) = 1 ]; do sleep 0.2; done\n",
      ),
    },
    {
      name: "two-managers",
      title: "Two managers, and a subnet of choice",
      script: steps(
        `docker node promote host2\n${create("--attachable --subnet 10.55.0.0/24")}${run("one")}`,
        run("two"),
      ),
    },
  ],
  wrongAnswers: [
    {
      name: "no-swarm",
      title: "No swarm at all",
      rejectedBy: "two-node-swarm",
      script: run("one", "bridge"),
    },
    {
      name: "two-swarms",
      title: "Each host is a swarm of its own, with a network of that name",
      rejectedBy: "two-node-swarm",
      script: [
        { host: "host1", script: `set -e\n${init}${create()}${run("one")}` },
        {
          host: "host2",
          script: `set -e\n${init.replace("10.77.0.11", "10.77.0.12")}${create()}${run("two")}`,
        },
      ],
    },
    {
      name: "one-node",
      title: "A swarm of one",
      rejectedBy: "two-node-swarm",
      script: `${init}${create()}${run("one")}`,
    },
    {
      name: "not-attachable",
      title: "For services only",
      rejectedBy: "attachable-overlay",
      script: steps(create(""), "true"),
    },
    {
      name: "one-container",
      title: "A container on one host only",
      rejectedBy: "container-on-each",
      script: steps(create() + run("one"), "true"),
    },
    {
      name: "bridges",
      title: "Bridge networks of the same name",
      rejectedBy: "attachable-overlay",
      script: steps(
        `docker network create wide\n${run("one")}`,
        `docker network create wide\n${run("two")}`,
      ),
    },
    {
      name: "blocked",
      title: "The underlay's port is closed",
      rejectedBy: "ping-over-vxlan",
      script: steps(
        create() + run("one"),
        run("two"),
        "iptables -I INPUT -p udp --dport 4789 -j DROP; iptables -I OUTPUT -p udp --dport 4789 -j DROP; ",
      ),
    },
  ],
};

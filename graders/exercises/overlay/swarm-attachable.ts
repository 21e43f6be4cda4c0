import type { RunningContainer } from "../../checks/containers.ts";
import { check, type Exercise, fail, pass, type Step } from "../../core/exercise.ts";
import { type ContainerModel, list } from "../../facts/model.ts";

const EMBEDDED = "127.0.0.11";

const swarm = check({
  id: "two-node-swarm",
  title: "Both hosts are nodes of one swarm",
  async run({ facts }) {
    const { hosts } = await facts();
    const nodes = hosts.map(({ engine }) => engine.swarm.state);
    if (nodes.length >= 2 && nodes.every((state) => state === "active")) return pass();
    const told = hosts.map(({ name }, index) => `${name}: ${nodes[index]}`);
    const hint =
      "docker swarm init --advertise-addr … on one host prints the command for the other one.";
    return fail("an active node on each host", list(told), hint);
  },
});

const network = check<string>({
  id: "attachable-overlay",
  title: "There is an attachable overlay network",
  needs: { swarm },
  async run({ facts }) {
    const { hosts } = await facts();
    const all = hosts
      .flatMap(({ networks }) => networks)
      .filter(({ driver, name }) => driver === "overlay" && name !== "ingress");
    const found = all.find(({ attachable }) => attachable);
    if (found !== undefined) return pass(found.name, found.name);
    const hint = "docker network create -d overlay --attachable …, on a manager";
    return fail(
      "an overlay network that containers may join",
      `overlay networks: ${list(all.map(({ name }) => `${name}, not attachable`))}`,
      hint,
    );
  },
});

interface Pair {
  readonly one: RunningContainer;
  readonly other: RunningContainer;
}

const pair = check<Pair, { network: typeof network }>({
  id: "container-on-each",
  title: "A container of it runs on each host",
  needs: { network },
  async run({ facts, network: name }) {
    const { hosts } = await facts();
    const isMember = (each: ContainerModel): each is RunningContainer =>
      each.running && !each.paused && each.namespace !== null && each.networks[name] !== undefined;
    const members = hosts.map(({ containers }) => containers.filter(isMember));
    const [one, other] = members.map((each) => each[0]);
    if (one !== undefined && other !== undefined) return pass({ one, other });
    const told = hosts.map(
      (host, index) => `${host.name}: ${list((members[index] ?? []).map((each) => each.name))}`,
    );
    return fail(`a running container in ${name} on host1 and on host2`, told.join("; "));
  },
});

const ways = ({ one, other }: Pair) =>
  [
    ["host1", one, "host2", other],
    ["host2", other, "host1", one],
  ] as const;

const names = check({
  id: "names-resolve",
  title: "Each finds the other by its name",
  needs: { network, pair },
  async run({ lab, signal, network: name, pair: both }) {
    for (const [host, from, , to] of ways(both)) {
      const probe = {
        from: { kind: "pid", pid: from.pid },
        server: EMBEDDED,
        name: to.name,
      } as const;
      const { addresses } = await lab.host(host).hand().dns(probe, { signal });
      const address = to.networks[name]?.address ?? "";
      if (!addresses.includes(address)) {
        return fail(`${from.name} finds ${to.name} at ${address}`, `it finds: ${list(addresses)}`);
      }
    }
    return pass();
  },
});

const carried = check({
  id: "ping-over-vxlan",
  title: "Each pings the other, and VXLAN carries it between the hosts",
  needs: { network, pair },
  timeoutMs: 30_000,
  async run({ lab, signal, network: name, pair: both }) {
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
        const actual = `${from.name} to ${to.name}: ${ping.arrived} of 3 arrived, ${ping.received} came back, ${inTunnel} in VXLAN`;
        return fail(
          "3 of 3 each way, inside VXLAN",
          actual,
          "Do the hosts reach each other on UDP 4789 and 7946?",
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
  title: "One network over two hosts",
  lesson: "overlay",
  lab: "overlay",
  requires: ["vxlan"],
  checks: [swarm, network, pair, names, carried],
  solutions: [
    {
      name: "worker",
      title: "A manager and a worker",
      script: steps(create() + run("one"), run("two")),
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

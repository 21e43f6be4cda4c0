/** The facts of a lab beside what the tools of the lab print. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { HostFacts, Lab, NamespaceFacts, SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";

let engine: SandboxEngine;
let lab: Lab;

const run = async (script: string, host?: string) => {
  const { exitCode, stdout, stderr } = await lab
    .host(host)
    .capture(["bash", "-ec", script], { input: "" });
  expect([script, exitCode, stderr]).toEqual([script, 0, expect.anything()]);
  return stdout;
};

type Entries = readonly Readonly<Record<string, unknown>>[];
/** What the lab's own `ip` says, in a namespace by its name, or in the host's. */
const ip = async (command: string, name?: string): Promise<Entries> =>
  JSON.parse((await run(`ip -j -d ${name ? `-n ${name}` : ""} ${command}`)) || "[]");

const host1 = async (): Promise<HostFacts> => {
  const [host] = (await lab.facts()).hosts;
  if (host === undefined) throw new Error("The lab has no host.");
  return host;
};

function namespaceNamed(host: HostFacts, name: string): NamespaceFacts {
  const inode = host.named?.find((each) => each.name === name)?.namespace;
  const found = host.namespaces.find((each) => each.inode === inode);
  if (found === undefined) throw new Error(`The facts have no namespace ${name}.`);
  return found;
}

const ownNamespace = (host: HostFacts): NamespaceFacts => {
  const found = host.namespaces.find(({ inode }) => inode === host.namespace);
  if (found === undefined) throw new Error("The facts lack the host's own namespace.");
  return found;
};

beforeAll(async () => {
  engine = await openSandbox({ engine: "managed" });
  lab = await engine.up({ topology: "overlay", name: "facts" });
  await run(`
    docker network create --subnet 172.30.0.0/16 --ip-range 172.30.5.0/24 --label a=b back
    docker run -d --name web --network back -p 8080:80 -v data:/data -e WORD='two words' --restart always nginx
    docker run -d --name beside --network container:web busybox sleep infinity
    docker run -d --name same --network host busybox sleep infinity
    docker run -d --name idle busybox sleep infinity; docker pause idle
    docker create --name never busybox true
    ip netns add red; ip netns add blue; ln -s /proc/$(docker inspect -f '{{.State.Pid}}' web)/ns/net /run/netns/web
    touch /run/netns/nothing
    ip link add lab0 type bridge stp_state 1; ip addr add 10.20.0.1/24 dev lab0; ip link set lab0 up
    ip link add p1 type veth peer name eth0 netns red; ip link set p1 master lab0 up
    bridge link set dev p1 isolated on
    ip -n red addr add 10.20.0.2/24 dev eth0; ip -n red link set lo up; ip -n red link set eth0 up
    ip -n red addr add 10.9.0.1 peer 10.9.0.2/32 dev eth0
    ip -n red route add default via 10.20.0.1 metric 7
    ip -n red route add 10.50.0.0/16 nexthop via 10.20.0.1 weight 2 nexthop via 10.20.0.9 weight 1
    ip -n red route add blackhole 10.66.0.0/16; ip -n red route add 10.77.7.0/24 dev eth0 table 42
    ip -n red rule add from 10.20.0.2 lookup 42 priority 500
    ip -n red neigh add 10.20.0.9 lladdr 02:00:00:00:00:09 dev eth0
    ip link add vx42 type vxlan id 42 dstport 4789 remote 10.77.0.12 local 10.77.0.11 dev eth0; ip link set vx42 up
    bridge fdb add 02:00:00:00:00:12 dev vx42 dst 10.77.0.12
    ip link add mv0 link eth0 netns blue type macvlan mode bridge
    ip netns exec red iptables -A INPUT -s 10.20.0.7 -p tcp -m multiport --dports 80,443 -m comment --comment 'a "b"' -j DROP
    nft add table inet mine; nft add chain inet mine c '{ type filter hook input priority 5; policy accept; }'
    nft add rule inet mine c tcp dport 81 drop
    setsid nc -lk -s 127.0.0.1 -p 4444 >/dev/null 2>&1 </dev/null & sleep 0.5
    ping -c1 -W1 10.20.0.2 >/dev/null || true`);
}, 400_000);

afterAll(async () => {
  if (lab !== undefined) await engine.down(lab.id);
  await engine?.[Symbol.asyncDispose]();
}, 60_000);

test("are what the documented schema says, and whole", async () => {
  const schema = JSON.parse(
    readFileSync(new URL("../../docs/facts.schema.json", import.meta.url), "utf8"),
  );
  const printed = JSON.parse(JSON.stringify(await lab.facts()));
  const { error } = z.fromJSONSchema(schema).safeParse(printed);
  expect(error && z.prettifyError(error)).toBeUndefined();
  expect(printed).toMatchObject({ version: 1, lab: "facts", topology: "overlay", neighbours: [] });
  expect(printed.hosts.map(({ name }: HostFacts) => name)).toEqual(["host1", "host2"]);
  const gaps = printed.hosts.flatMap((host: HostFacts) => [
    ...host.missing,
    ...host.namespaces.flatMap(({ missing }) => missing),
  ]);
  expect(gaps).toEqual([]);
});

test("have the links that ip shows, in the host and in its namespaces", async () => {
  const host = await host1();
  for (const [name, facts] of [
    [undefined, ownNamespace(host)],
    ["red", namespaceNamed(host, "red")],
    ["blue", namespaceNamed(host, "blue")],
    ["web", namespaceNamed(host, "web")],
  ] as const) {
    const shown = await ip("addr", name);
    expect(facts.links?.map((link) => [link.index, link.name])).toEqual(
      shown.map((link) => [link["ifindex"], link["ifname"]]),
    );
    for (const [index, link] of (facts.links ?? []).entries()) {
      const { linkinfo = {}, ...entry } = shown[index] as Record<string, unknown> & {
        linkinfo?: Record<string, unknown>;
      };
      expect(link).toMatchObject({
        kind: linkinfo["info_kind"] ?? "",
        mtu: entry["mtu"],
        mac: entry["address"],
        state: String(entry["operstate"]).toLowerCase(),
        master: entry["master"] ?? null,
        link: entry["link_index"] || entry["link"] ? { index: expect.any(Number) } : null,
      });
      expect(link.flags.toSorted()).toEqual((entry["flags"] as string[]).toSorted());
      if (entry["link_index"]) expect(link.link?.index).toBe(entry["link_index"]);
      const addresses = entry["addr_info"] as Record<string, unknown>[];
      expect(link.addresses).toEqual(
        addresses.map((each) => ({
          family: each["family"],
          address: each["local"],
          prefix: each["prefixlen"],
          peer: each["address"] ?? null,
          broadcast: each["broadcast"] ?? null,
          scope: each["scope"],
        })),
      );
    }
  }
  const named = (name: string) => ownNamespace(host).links?.find((link) => link.name === name);
  expect(named("vx42")?.vxlan).toEqual({
    ...{ id: 42, port: 4789, remote: "10.77.0.12", local: "10.77.0.11" },
    ...{ device: "eth0", learning: true, external: false },
  });
  expect(named("lab0")?.bridge).toMatchObject({ stp: true, vlanFiltering: false });
  expect(named("p1")?.port).toMatchObject({ isolated: true, hairpin: false });
  const red = namespaceNamed(host, "red");
  expect(named("p1")?.link).toEqual({
    index: red.links?.find(({ name }) => name === "eth0")?.index,
    namespace: red.inode,
  });
  const macvlan = namespaceNamed(host, "blue").links?.find(({ name }) => name === "mv0");
  expect(macvlan).toMatchObject({
    macvlan: { mode: "bridge" },
    link: { index: named("eth0")?.index, namespace: host.namespace },
  });
});

test("tell the state that links are in now, where the kernel works that out for a list of them later", async () => {
  // Both ends of each cable have the same number.
  const names = Array.from({ length: 8 }, (_, number) => number);
  const each = (command: string) => names.map((n) => command.replaceAll("%", String(n))).join("\n");
  await run(each("ip netns add a%; ip netns add b%"));
  await run(each("ip -n a% link add eth0 type veth peer name eth0 netns b%"));
  try {
    for (const state of ["up", "down", "up"]) {
      await run(each(`ip -n a% link set eth0 ${state}; ip -n b% link set eth0 ${state}`));
      const host = await host1();
      const states = names
        .flatMap((n) => [`a${n}`, `b${n}`])
        .map(
          (name) => namespaceNamed(host, name).links?.find((link) => link.name === "eth0")?.state,
        );
      expect([...new Set(states)]).toEqual([state]);
    }
  } finally {
    await run(each("ip netns del a%; ip netns del b%"));
  }
});

test("have the routes, rules and neighbours that ip shows, and the forwarding entries of bridge", async () => {
  const host = await host1();
  const red = namespaceNamed(host, "red");
  const tables: Record<string, number> = { main: 254, local: 255, default: 253 };
  const table = (value: unknown) => tables[String(value)] ?? Number(value ?? 254);
  const shown = await ip("route show table all", "red");
  const whole = (destination: unknown) => String(destination).replace(/\/(32|128)$/, "");
  const told = red.routes?.map(({ destination, type, table, metric, protocol }) => ({
    ...{ destination: whole(destination), type, table, metric, protocol },
  }));
  expect(told).toEqual(
    shown.map((route) => ({
      destination: whole(route["dst"]),
      type: route["type"] ?? "unicast",
      table: table(route["table"]),
      metric: route["metric"] ?? null,
      protocol: route["protocol"],
    })),
  );
  const to = (destination: string) => red.routes?.find((each) => each.destination === destination);
  expect(to("default")?.hops).toEqual([{ gateway: "10.20.0.1", interface: "eth0", weight: 1 }]);
  expect(to("10.50.0.0/16")?.hops).toEqual([
    { gateway: "10.20.0.1", interface: "eth0", weight: 2 },
    { gateway: "10.20.0.9", interface: "eth0", weight: 1 },
  ]);
  expect(to("10.66.0.0/16")).toMatchObject({ type: "blackhole" });
  expect(to("10.77.7.0/24")).toMatchObject({ table: 42 });
  const rules = await ip("rule", "red");
  expect(red.rules?.filter(({ family }) => family === "inet")).toEqual(
    rules.map((rule) =>
      expect.objectContaining({
        priority: rule["priority"],
        from: rule["src"] === "all" ? null : `${rule["src"]}/32`,
        table: table(rule["table"]),
        action: "lookup",
      }),
    ),
  );
  expect(red.neighbours).toContainEqual({
    ...{ family: "inet", address: "10.20.0.9", mac: "02:00:00:00:00:09", interface: "eth0" },
    ...{ states: ["PERMANENT"], proxy: false },
  });
  const own = ownNamespace(host);
  const entries = JSON.parse(await run("bridge -j fdb show")) as Entries;
  const key = (mac: unknown, device: unknown, remote: unknown) => [mac, device, remote].join(" ");
  expect(
    own.forwarding?.map((each) => key(each.mac, each.interface, each.remote)).toSorted(),
  ).toEqual(entries.map((each) => key(each["mac"], each["ifname"], each["dst"])).toSorted());
  const tunnel = own.forwarding?.find(({ mac }) => mac === "02:00:00:00:00:12");
  expect(tunnel).toMatchObject({ interface: "vx42", remote: "10.77.0.12" });
});

test("have the packet filter's rules, option by option, and its sockets", async () => {
  const host = await host1();
  const { ruleset } = namespaceNamed(host, "red").netfilter ?? {};
  expect(ruleset?.iptables.map(({ family, backend, table }) => [family, backend, table])).toEqual([
    ["ip", "nf_tables", "filter"],
  ]);
  expect(ruleset?.iptables[0]?.rules).toEqual([
    expect.objectContaining({
      chain: "INPUT",
      target: "DROP",
      options: expect.arrayContaining([
        { name: "-s", not: false, values: ["10.20.0.7/32"] },
        { name: "--dports", not: false, values: ["80,443"] },
        { name: "--comment", not: false, values: ['a "b"'] },
      ]),
    }),
  ]);
  const own = ownNamespace(host).netfilter;
  expect(own?.tables).toContainEqual({ family: "inet", name: "mine", backend: "nf_tables" });
  const mine = own?.ruleset?.nft.filter(
    (each) => (each["rule"] as { table?: string } | undefined)?.table === "mine",
  );
  expect(JSON.stringify(mine)).toContain('"right":81');
  const nat = own?.ruleset?.iptables.find(
    ({ table, family }) => table === "nat" && family === "ip",
  );
  const published = nat?.rules.find(({ target }) => target === "DNAT");
  expect(published?.options).toContainEqual({ name: "--dport", not: false, values: ["8080"] });
  // Nothing but Docker's resolver: its table is told, its rules are not read.
  expect(namespaceNamed(host, "web").netfilter).toMatchObject({
    tables: [{ family: "ip", name: "nat" }],
    ruleset: null,
  });
  const { sockets } = ownNamespace(host);
  expect(sockets).toContainEqual(
    expect.objectContaining({ protocol: "tcp", address: "127.0.0.1", port: 4444 }),
  );
  expect(sockets).toContainEqual(expect.objectContaining({ protocol: "udp", port: 4789 }));
  const web = namespaceNamed(host, "web").sockets ?? [];
  expect(web).toContainEqual(expect.objectContaining({ address: "127.0.0.11", protocol: "udp" }));
  expect(ownNamespace(host).sysctls["net.ipv4.ip_forward"]).toBe(1);
});

test("have what the engine says, and whose namespace the kernel says a container is in", async () => {
  const host = await host1();
  const container = (name: string) => host.containers?.find((each) => each.name === name);
  const web = container("web");
  const space = namespaceNamed(host, "web");
  expect(web).toMatchObject({
    ...{ image: "nginx", state: "running", running: true, paused: false, restartPolicy: "always" },
    ...{ health: null, networkMode: "back", namespace: space.inode },
    networks: [{ name: "back", address: "172.30.5.1", prefix: 16, gateway: expect.any(String) }],
    mounts: [{ kind: "volume", name: "data", target: "/data", writable: true }],
    environment: expect.arrayContaining(["WORD=two words"]),
  });
  expect(web?.published).toContainEqual({
    ...{ hostAddress: "0.0.0.0", hostPort: 8080, port: "80/tcp" },
  });
  expect(space.processes).toContain(web?.pid);
  expect(container("beside")?.namespace).toBe(space.inode);
  expect(container("same")?.namespace).toBe(host.namespace);
  expect(container("idle")).toMatchObject({ state: "paused", running: true, paused: true });
  expect(container("never")).toMatchObject({ state: "created", running: false, namespace: null });
  expect(host.named).toContainEqual({ name: "nothing", namespace: null });
  expect(host.networks?.find(({ name }) => name === "back")).toMatchObject({
    ...{ driver: "bridge", bridge: expect.stringMatching(/^br-/), internal: false },
    subnets: [{ subnet: "172.30.0.0/16", range: "172.30.5.0/24" }],
    labels: [{ name: "a", value: "b" }],
  });
  expect(host.images?.flatMap(({ tags }) => tags)).toContain("nginx:latest");
  expect(host.engine).toMatchObject({
    version: expect.stringMatching(/^\d+\./),
    swarm: { state: "inactive", manager: false },
  });
});

test("have a swarm's services, and namespaces that nothing but a mount keeps", async () => {
  await run("docker swarm init --advertise-addr 10.77.0.11 >/dev/null");
  await run("docker network create -d overlay --attachable wide >/dev/null");
  await run("docker run -d --name member --network wide busybox sleep infinity");
  await run(
    "docker service create -q --name pair --replicas 0 --network wide --publish 9000:80 nginx",
  );
  const host = await host1();
  expect(host.engine?.swarm).toEqual({ state: "active", manager: true });
  expect(host.services).toMatchObject([
    { name: "pair", replicas: 0, running: 0, published: [{ port: "80/tcp", publishedPort: 9000 }] },
  ]);
  const overlay = host.namespaces.find(({ links }) =>
    links?.some(({ vxlan }) => vxlan !== null && vxlan.id !== 42),
  );
  expect(overlay).toMatchObject({
    processes: [],
    paths: [expect.stringContaining("/run/docker/netns/1-")],
  });
});

test("come with the kernel's part whole where the engine hangs, and say what is missing", async () => {
  await run("pkill -STOP -x dockerd");
  try {
    const startMs = performance.now();
    const host = await host1();
    expect(performance.now() - startMs).toBeLessThan(8000);
    expect([host.engine, host.containers, host.networks, host.images, host.services]).toEqual(
      Array(5).fill(null),
    );
    const why = "the engine in the lab did not answer within 5 s";
    expect(host.missing).toEqual(
      ["engine", "containers", "networks", "images", "services"].map((source) => ({
        ...{ source, code: "inner-engine-timeout", why },
      })),
    );
    expect(namespaceNamed(host, "red").links).toHaveLength(2);
  } finally {
    await run("pkill -CONT -x dockerd");
  }
});

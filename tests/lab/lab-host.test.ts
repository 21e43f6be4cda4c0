import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { engineClient } from "../../sandbox/docker/address.ts";
import { wiring } from "../../sandbox/docker/containers.ts";
import { chosenRelease } from "../../sandbox/docker/host-image.ts";
import { managedEngineSocket } from "../../sandbox/docker/managed-engine.ts";
import { HandSession } from "../../sandbox/docker/steward.ts";
import type { Lab, PingProbe, SandboxEngine, TrustedHand } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";

/** Debian 12 has no second version of compose, and no buildx. */
const hasCompose = chosenRelease() !== "bookworm";
let engine: SandboxEngine;
let running: Lab;
let hand: TrustedHand;

/** Runs a shell script as root on the lab host; resolves with what it printed, also where it failed. */
const lab = async (script: string) => {
  const { stdout } = await running.host().capture(["sh", "-c", `{ ${script}\n} 2>&1`]);
  return stdout.trimEnd();
};

beforeAll(async () => {
  engine = await openSandbox({ engine: "managed" });
  running = await engine.up({ topology: "iptables" });
  hand = running.host().hand();
}, 400_000);

afterAll(async () => {
  if (running !== undefined) await engine.down(running.id);
  await engine?.[Symbol.asyncDispose]();
}, 60_000);

test("has the course's images at the first prompt", async () => {
  const names = await lab("docker image ls --format '{{.Repository}}'");
  const course = ["busybox", "client", "netboxcommunity/netbox", "nginx", "postgres", "python"];
  const more = ["redis", "server", "valkey/valkey"];
  expect([...new Set(names.split("\n"))].sort()).toEqual([...course, ...more]);
  const { id: trusted } = await running.host().trustedImage("busybox");
  expect(await lab("docker image inspect --format '{{.Id}}' busybox")).toBe(trusted);
});

test("is prepared from outside also where its first process comes late", async () => {
  const address = `unix://${managedEngineSocket}`;
  const docker = engineClient(address);
  const [like] = await docker.listContainers({ filters: { name: [`${running.id}.host1`] } });
  const { Config, HostConfig } = await docker.getContainer(like?.Id ?? "").inspect();
  // All that lab-init does is not done yet.
  const Entrypoint = ["sleep", "infinity"];
  const { Image } = Config;
  const late = await docker.createContainer({
    Image,
    Entrypoint,
    Volumes: { "/disk": {} },
    HostConfig,
  });
  await using session = new HandSession(address, "patchbay-steward");
  const key = "latestart";
  try {
    await late.start();
    const { State } = await late.inspect();
    const topology = engine.topologies["iptables"];
    if (topology === undefined) throw new Error("There is no such lab.");
    const { networks, machines } = wiring(topology);
    const request = { key, networks, machines, host: machines[0], egress: "none" };
    await session.ask("prepare", State.Pid, { ...request, diskBytes: 2 ** 30 }, 30_000);
    const mounts = readFileSync(`/proc/${State.Pid}/mounts`, "utf8");
    expect(mounts).toMatch(/^\S+ \/run\/patchbay\/sys sysfs rw/m);
  } finally {
    await late.remove({ force: true, v: true });
    await session.ask("unlink", 0, { key });
    await session.ask("remove-disks", 0, { key });
  }
});

test("has a user namespace: its root is nobody on the machine", async () => {
  const [inside, outside] = (await lab("cat /proc/self/uid_map")).trim().split(/\s+/);
  expect(inside).toBe("0");
  expect(Number(outside)).toBeGreaterThanOrEqual(100_000);
});

test("runs ip netns exec, which mounts a sysfs of its own", async () => {
  expect(await lab("ip netns add x && ip netns exec x ip -br link; ip netns del x")).toMatch(
    /^lo /,
  );
});

test("publishes a port, and answers on it", async () => {
  await lab("docker run -d --name web -p 8080:80 nginx; sleep 0.5");
  expect(await lab("curl -sI localhost:8080")).toContain("200 OK");
  expect(await lab("iptables -t nat -S DOCKER")).toContain("--dport 8080 -j DNAT");
  await lab("docker rm -f web");
});

test("shows by a nonce whether one network reaches the other", async () => {
  await lab(`docker network create my-bridge-001; docker network create my-bridge-002
    docker run -d --name c1 --network my-bridge-001 busybox sleep 600
    docker run -d --name c2 --network my-bridge-002 busybox sleep 600`);
  const pid = async (name: string) =>
    Number(await lab(`docker inspect -f '{{.State.Pid}}' ${name}`));
  const [c1, c2] = [await pid("c1"), await pid("c2")];
  const field = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
  const probe: PingProbe = {
    from: { kind: "pid", pid: c2 },
    target: { kind: "pid", pid: c1 },
    address: await lab(`docker inspect -f '${field}' c1`),
    ...{ count: 8, intervalMs: 50, lastReplyWaitMs: 300 },
  };
  const isolated = { sent: 8, arrived: 0, answeredByTarget: 0, received: 0 };
  expect(await hand.ping(probe)).toMatchObject(isolated);

  // Engines from 28 on drop there what is routed to a container's address.
  await lab("iptables -I DOCKER-USER -j ACCEPT; iptables -t raw -F PREROUTING");
  const reached = { sent: 8, arrived: 8, answeredByTarget: 8, received: 8 };
  expect(await hand.ping(probe)).toMatchObject(reached);

  await lab("iptables -F DOCKER-USER; iptables -A DOCKER-USER -j RETURN");
  // The lab host takes the pings to itself: replies come back, and c1 saw nothing.
  await lab(`iptables -t nat -I PREROUTING -p icmp -j REDIRECT`);
  const inItsStead = { arrived: 0, answeredByTarget: 0, received: 8 };
  expect(await hand.ping(probe)).toMatchObject(inItsStead);
});

test("says that a hung inner engine did not answer, within the time given", async () => {
  const version = (timeoutMs: number) =>
    running.host().innerEngine().request({ path: "/version", timeoutMs });
  expect(await version(5000)).toMatchObject({ status: 200 });
  await lab("pkill -STOP -x dockerd");
  try {
    await expect(version(500)).rejects.toMatchObject({ code: "inner-engine-timeout" });
  } finally {
    await lab("pkill -CONT -x dockerd");
  }
});

test("knows no process of another lab, nor of the machine", async () => {
  const read = (pid: number) => hand.readFile("/etc/hostname", { pid });
  expect(await read(1)).toEqual({ text: "host1\n" });
  await expect(read(process.pid + 1_000_000)).rejects.toThrow(/no process \d+ in this lab/);
});

test("has every tool that the lessons type", async () => {
  const tools =
    "docker containerd ip brctl iptables nft tcpdump jq ping curl lsof ss nsenter dig nano vim htop nc";
  expect(
    await lab(`for tool in ${tools}; do command -v $tool >/dev/null || echo $tool; done`),
  ).toBe("");
  if (hasCompose) {
    expect(await lab("docker compose version")).toMatch(/v?2\.\d+/);
    expect(await lab("docker buildx version")).toContain("buildx");
  }
  for (const tool of ["docker", "ip"]) {
    // As a Tab after the word would load it.
    const load = `_comp_load ${tool} || _completion_loader ${tool}; complete -p ${tool}`;
    expect(await lab(`bash -lic '${load}' 2>/dev/null`)).toMatch(new RegExp(` ${tool}$`));
  }
});

test("sees packets with tcpdump, and names with the embedded DNS", async () => {
  await lab(`docker network create named
    docker run -d --name db --network named busybox sleep 600`);
  expect(await lab("docker run --rm --network named busybox ping -c1 db")).toContain(
    ", 0% packet loss",
  );
  const script = `timeout 5 tcpdump -lni any -c 2 icmp >/tmp/seen 2>/dev/null & sleep 1
    ping -c2 8.8.8.8 >/dev/null; wait; cat /tmp/seen`;
  expect(await lab(script)).toContain("10.77.0.11 > 8.8.8.8: ICMP echo request");
});

test.skipIf(!hasCompose)("brings up a compose project", async () => {
  const file = "services: {web: {image: nginx, ports: ['8081:80']}}";
  await lab(`mkdir -p /root/site && cd /root/site && echo "${file}" >compose.yaml`);
  expect(await lab("cd /root/site && docker compose up -d --wait")).toContain("Started");
  expect(await lab("curl -sI localhost:8081")).toContain("200 OK");
  await lab("cd /root/site && docker compose down");
});

test("leaves no zombie under the host's init", async () => {
  await lab("for i in 1 2 3; do docker run --rm busybox true; done; (sleep 0.1 &) ; sleep 0.5");
  expect(await lab("ps -eo stat= | grep -c ^Z")).toBe("0");
});

test("runs every image of the course as its lesson does", async () => {
  await lab(`docker network create app
    docker run -d --name my-server --network app -p 8081:8080 server
    docker run -d --name my-client --network app -v log_volume:/var/log/app client
    docker run -d --name notes-db --network app -e POSTGRES_PASSWORD=secret -e POSTGRES_DB=notes postgres
    docker run -d --name queue --network app valkey/valkey`);
  const until = async (script: string, text: string | RegExp) =>
    expect.poll(() => lab(script), { timeout: 20_000, interval: 300 }).toMatch(text);
  await until("curl -s localhost:8081/", /^hello from [0-9a-f]{12}$/);
  await until("cat /var/lib/docker/volumes/log_volume/_data/client.log", /hello from/);
  await lab("docker exec my-server touch /tmp/broken");
  expect(await lab("curl -s -o /dev/null -w '%{http_code}' localhost:8081/status")).toBe("500");
  const psql = "psql -h notes-db -U postgres -d notes -tAc 'select 6*7'";
  await until(`docker run --rm --network app -e PGPASSWORD=secret postgres ${psql}`, /^42$/);
  expect(await lab("docker run --rm --network app redis redis-cli -h queue ping")).toBe("PONG");
  expect(await lab("docker run --rm python:slim python -c 'print(6*7)'")).toBe("42");
  await lab("docker rm -fv my-server my-client notes-db queue; docker network rm app");
});

test("shares the layers of its images with every other lab", async () => {
  // What the lab itself stores of them: records, no files.
  expect(
    Number(await lab("du -sm /var/lib/docker --exclude='*/diff/*' -x | cut -f1")),
  ).toBeLessThan(5);
  const mounts = await lab("grep -c ' /var/lib/docker/overlay2/[0-9a-f]*/diff ' /proc/mounts");
  expect(Number(mounts)).toBeGreaterThanOrEqual(7);
});

test("sees every connection of a process, however many others there are", async () => {
  // The kernel gives its table of connections a page at a time: about 27 lines.
  await lab(`cat >/tmp/many.py <<'PY'
import socket, time
server = socket.create_server(("127.0.0.1", 7000), backlog=100)
ends = [socket.create_connection(("127.0.0.1", 7000)) for _ in range(90)]
held = [server.accept() for _ in ends]
open("/tmp/many.ready", "w").close()
time.sleep(600)
PY
    nohup python3 /tmp/many.py >/dev/null 2>&1 & until [ -e /tmp/many.ready ]; do sleep 0.1; done`);
  const processes = await hand.processes({ remote: "127.0.0.1:7000" });
  const [many] = processes.filter(({ command }) => command.includes("/tmp/many.py"));
  expect(many?.connections).toHaveLength(90);
  await lab("pkill -f /tmp/many.py");
});

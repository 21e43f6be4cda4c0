/** Root in a lab attacks the machine and a neighbour's lab. Each attack is bounded; the neighbour must go on. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statfsSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { managedEnginePaths } from "../../sandbox/docker/managed-engine.ts";
import type { Lab, SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";

const attacks = readFileSync(new URL("../fixtures/attacks.py", import.meta.url), "utf8");
const GIB = 2 ** 30;
let engine: SandboxEngine;
let lab: Lab;
let neighbour: Lab;

const sh = async (where: Lab, script: string) => {
  const { stdout } = await where.host().capture(["bash", "-c", `{ ${script}\n} 2>&1`]);
  return stdout.trimEnd();
};

async function attack(name: string, ...args: readonly string[]): Promise<unknown> {
  const { stdout, stderr } = await lab
    .host()
    .capture(["python3", "-", name, ...args], { input: attacks });
  expect(stdout, stderr).not.toBe("");
  return JSON.parse(stdout);
}

/** What a student in the neighbour's lab does meanwhile; resolves with the median time, milliseconds. */
async function neighbourTime(): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < 9; round += 1) {
    const startMs = performance.now();
    expect(await sh(neighbour, "echo a > /root/a && cat /root/a")).toBe("a");
    times.push(performance.now() - startMs);
  }
  return times.sort((a, b) => a - b)[4] ?? Number.POSITIVE_INFINITY;
}

/** The machine's free bytes where labs lie. */
const free = () => {
  const { bavail, bsize } = statfsSync(managedEnginePaths.dataRoot);
  return bavail * bsize;
};

beforeAll(async () => {
  engine = await openSandbox({ engine: "managed" });
  lab = await engine.up({ topology: "iptables", name: "walls-attacker" });
  neighbour = await engine.up({ topology: "iptables", name: "walls-neighbour" });
}, 400_000);

afterAll(async () => {
  for (const one of [lab, neighbour]) if (one !== undefined) await engine.down(one.id);
  await engine?.[Symbol.asyncDispose]();
}, 60_000);

test("system calls that lead out of a lab are refused, or not there", async () => {
  const answers = (await attack("system_calls")) as Record<string, string>;
  for (const [name, answer] of Object.entries(answers)) {
    const absent = ["keyctl", "add_key", "io_uring_setup"].includes(name);
    expect([name, answer]).toEqual([name, absent ? "ENOSYS" : "EPERM"]);
  }
  // A nested engine needs unix, IPv4, IPv6, netlink and packet sockets, and no others.
  expect(await attack("families")).toEqual([1, 2, 10, 16, 17]);
});

test("the machine's files, disks and settings are out of reach", async () => {
  expect(await attack("mounts")).toEqual([]);
  expect(await attack("devices")).toEqual([]);
  const settings = [
    ...["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/sysrq"],
    ...["/proc/sys/vm/drop_caches", "/proc/sys/kernel/printk", "/proc/sys/fs/file-max"],
    ...["/proc/sys/net/netfilter/nf_conntrack_max", "/proc/sys/user/max_net_namespaces"],
    ...["/proc/sysrq-trigger", "/proc/kcore", "/sys/kernel/uevent_helper", "/sys/power/state"],
  ];
  expect(await attack("writes", ...settings)).toEqual([]);
  const release = `mkdir -p /tmp/c; mount -t cgroup -o memory none /tmp/c && echo /tmp/x > /tmp/c/release_agent && echo escaped
    for agent in /sys/fs/cgroup/*/release_agent; do echo /tmp/x > $agent && echo escaped; done`;
  expect(await sh(lab, `{ ${release}; } 2>/dev/null; true`)).toBe("");
  expect(
    await sh(lab, "modprobe dummy 2>&1; insmod /tmp/x.ko 2>&1; date -s 2001-01-01 2>&1"),
  ).toMatch(/not permitted|not found/);
  expect(new Date().getFullYear()).toBeGreaterThan(2001);
});

test("an inner container with every right is root in the lab, and nothing more", async () => {
  const marker = `marker-${process.pid}`;
  const child = spawn("sleep", ["97531"], { env: { MARKER: marker }, stdio: "ignore" });
  try {
    const run =
      "docker run --rm --privileged --pid=host --network=host --userns=host -v /:/lab busybox";
    const look = `cat /proc/[0-9]*/environ 2>/dev/null | grep -c ${marker}; ls /lab/disks /lab/var/lib/patchbay 2>/dev/null | wc -l; cat /proc/self/uid_map`;
    const [processes, files, map] = (await sh(lab, `${run} sh -c '${look}'`)).split("\n");
    expect([processes, files]).toEqual(["0", "0"]);
    expect(map).not.toMatch(/^\s*0\s+0\s/);
    // To the death: everything in the lab but its init, and nothing else.
    await sh(neighbour, "sleep 86421 >/dev/null 2>&1 &");
    await sh(lab, "kill -9 -1");
    expect(child.exitCode ?? child.signalCode).toBeNull();
    expect(await sh(neighbour, "pgrep -fc ^sleep.86421")).toBe("1");
  } finally {
    child.kill();
  }
  lab = await engine.reset(lab.id);
});

test("no port of the machine, no other lab and no metadata service answers", async () => {
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await sh(
    neighbour,
    "docker run -d --name web -p 80:80 nginx && ip addr add 10.99.0.1/24 dev eth0",
  );
  try {
    const own = Object.values(os.networkInterfaces()).flatMap((all) => all ?? []);
    const machine = own.filter(({ family }) => family === "IPv4").map((each) => each.address);
    const listening = readFileSync("/proc/net/tcp", "utf8")
      .split("\n")
      .flatMap((line) => {
        const [, local = "", , state] = line.trim().split(/\s+/);
        return state === "0A" ? [Number.parseInt(local.split(":")[1] ?? "", 16)] : [];
      });
    expect(listening).toContain(port);
    const gateways = ["10.77.0.1", "8.8.8.8", "1.1.1.1", "172.17.0.1", "10.201.0.1"];
    // Whatever the lab claims of its routes and addresses.
    await sh(
      lab,
      `ip route add 10.99.0.0/24 dev eth0; ip route add 169.254.169.254 dev eth0; ip addr add 10.77.0.1/24 dev eth0
       for address in ${machine.join(" ")}; do ip route add $address via 10.77.0.1; done; ip addr del 10.77.0.1/24 dev eth0`,
    );
    // Its own loopback is the lab's.
    const addresses = [...machine.filter((each) => !each.startsWith("127.")), ...gateways];
    const targets = addresses.flatMap((each) => listening.map((number) => `${each}:${number}`));
    const others = ["10.99.0.1:80", "169.254.169.254:80", "10.77.0.12:80"];
    // The gateway answers for names, and for nothing else.
    const opened = (await attack("connects", ...targets, ...others)) as string[];
    expect(opened.filter((target) => !target.endsWith(":53"))).toEqual([]);
  } finally {
    server.close();
  }
});

test("a forged address and a forged gateway harm no other lab", async () => {
  const mac = await sh(neighbour, "cat /sys/class/net/eth0/address");
  await sh(
    lab,
    `ip link set eth0 address ${mac}; ip addr add 10.77.0.1/24 dev eth0
    ip addr add 8.8.8.8/32 dev eth0; ping -c1 -W1 -b 10.77.0.255`,
  );
  expect(await sh(neighbour, "ip neigh flush all; ping -c2 -i0.2 -W1 8.8.8.8 | tail -2")).toContain(
    " 0% packet loss",
  );
  await sh(neighbour, "timeout 4 tcpdump -ni eth0 icmp > /root/seen 2>/dev/null & sleep 1");
  await sh(lab, "ping -c3 -i0.2 -W1 10.77.0.12; ping -c3 -i0.2 -W1 10.77.0.99");
  await sleep(3500);
  expect(await sh(neighbour, "cat /root/seen")).toBe("");
  lab = await engine.reset(lab.id);
});

test("disk and inodes end at the lab's own, and the machine's stay", async () => {
  const before = free();
  const filled = (await attack("fill_disk")) as { bytes: number; files: number };
  expect(filled.bytes).toBeGreaterThan(2 * GIB);
  expect(filled.bytes).toBeLessThan(4.1 * GIB);
  expect(filled.files).toBeLessThan(600_000);
  // What the engine wrote into /etc is the lab's copy.
  expect(
    await sh(lab, "yes > /etc/hosts; yes > /etc/resolv.conf; df --output=target /etc/hosts"),
  ).toMatch(/\n\/$/);
  expect(before - free()).toBeLessThan(4.5 * GIB);
  expect(await neighbourTime()).toBeGreaterThan(0);
  lab = await engine.reset(lab.id);
}, 120_000);

test("what a lab prints to its console does not fill the machine's disk", async () => {
  await attack("flood_console", "60");
  const containers = join(managedEnginePaths.dataRoot, "100000.100000", "containers");
  const folders = execFileSync("find", [
    managedEnginePaths.dataRoot,
    "-path",
    "*local-logs*",
    "-type",
    "f",
  ]);
  const sizes = String(folders)
    .split("\n")
    .filter(Boolean)
    .map((file) => statfsSync(file) && Number(execFileSync("stat", ["-c", "%s", file])));
  expect(readdirSync(containers).length).toBeGreaterThan(0);
  expect(Math.max(0, ...sizes)).toBeLessThan(2.5 * 2 ** 20);
});

test("what the kernel has few of, no lab takes from another one", async () => {
  for (const kind of ["inotify", "pty"] as const) {
    const holding = attack("take", kind, "3");
    await sleep(2000);
    const probe =
      kind === "inotify"
        ? "import ctypes; print(ctypes.CDLL(None).inotify_init() > 0)"
        : "import os; print(os.open('/dev/ptmx', os.O_RDWR) > 0)";
    expect(await sh(neighbour, `python3 -c "${probe}"`)).toBe("True");
    expect(String(execFileSync("python3", ["-c", probe])).trim()).toBe("True");
    const taken = (await holding) as number;
    if (kind === "inotify") expect(taken).toBeLessThanOrEqual(1024);
    expect(taken).toBeGreaterThan(100);
  }
  expect(await attack("net_namespaces")).toBeLessThanOrEqual(256);
  // A rule that tracks connections must be there for the table to fill.
  await sh(
    lab,
    "iptables -I OUTPUT -m conntrack --ctstate NEW -j ACCEPT; iptables -A INPUT -p udp -j DROP",
  );
  const flows = (await attack("flood_conntrack")) as number;
  expect(flows).toBeGreaterThan(1000);
  expect(flows).toBeLessThanOrEqual(32_768);
  const serve = "docker run -d --name alive -p 81:80 nginx >/dev/null; sleep 0.5";
  expect(await sh(neighbour, `${serve}; curl -sI -m2 localhost:81 | head -1`)).toContain("200");
}, 60_000);

test("memory ends at the lab's own", async () => {
  const SIGKILL = -9;
  expect(await attack("eat_memory", "3000")).toBe(SIGKILL);
  expect(await neighbourTime()).toBeGreaterThan(0);
});

test("a fork bomb leaves a neighbour its share", async () => {
  const quiet = await neighbourTime();
  const bomb = attack("fork_bomb", "8");
  await sleep(2000);
  const meanwhile = await neighbourTime();
  expect(await bomb).toBeLessThan(2000);
  // Of two processors one lab may take one and a half.
  expect(meanwhile / quiet).toBeLessThan(12);
}, 60_000);

test("a way out leads to the world, and not to the machine, private networks or metadata", async () => {
  const ip = (...args: readonly string[]) => execFileSync("ip", args, { stdio: "pipe" });
  // A world of its own: a network namespace with a public address, and a page.
  ip("netns", "add", "pb-world");
  const world = spawn(
    "ip",
    [
      "netns",
      "exec",
      "pb-world",
      "python3",
      "-m",
      "http.server",
      "8000",
      "--directory",
      "/proc/sys/net",
    ],
    { stdio: "ignore" },
  );
  const server = createServer((socket) => socket.end());
  const out = await openSandbox({ engine: "managed", egress: "nat" });
  try {
    ip("link", "add", "pb-world0", "type", "veth", "peer", "name", "eth0", "netns", "pb-world");
    ip("addr", "add", "198.51.100.1/30", "dev", "pb-world0");
    ip("link", "set", "pb-world0", "up");
    for (const args of [
      ["addr", "add", "198.51.100.2/30", "dev", "eth0"],
      ["addr", "add", "10.99.99.1/32", "dev", "lo"],
      ["addr", "add", "169.254.169.254/32", "dev", "lo"],
      ["link", "set", "eth0", "up"],
      ["link", "set", "lo", "up"],
    ]) {
      ip("-n", "pb-world", ...args);
    }
    // The machine itself reaches these, so that only the rules keep a lab from them.
    ip("route", "add", "10.99.99.1", "via", "198.51.100.2");
    ip("route", "add", "169.254.169.254", "via", "198.51.100.2");
    await new Promise<void>((resolve) => server.listen(8000, "0.0.0.0", resolve));
    const open = await out.up({ topology: "iptables", name: "walls-out" });
    const curl = (address: string) => `curl -s -o /dev/null -m 3 -w '%{http_code}' ${address}:8000`;
    await expect.poll(() => sh(open, curl("198.51.100.2")), { timeout: 10_000 }).toBe("200");
    const inside =
      "docker run --rm busybox wget -q -T 3 -O /dev/null 198.51.100.2:8000 && echo got";
    expect(await sh(open, inside)).toBe("got");
    // Without a way out nothing of the world is there.
    expect(await sh(lab, curl("198.51.100.2"))).toBe("000");
    const own = Object.values(os.networkInterfaces()).flatMap((all) => all ?? []);
    const machine = own
      .filter(({ family, internal }) => family === "IPv4" && !internal)
      .map((each) => each.address);
    expect(machine).toContain("198.51.100.1");
    for (const address of [...machine, "10.99.99.1", "169.254.169.254", "10.78.0.1", "10.77.0.1"]) {
      expect([address, await sh(open, curl(address))]).toEqual([address, "000"]);
    }
    expect(
      await sh(open, "getent hosts host1 && ping -c1 -W1 10.77.0.1 | grep -c ' 0% packet loss'"),
    ).toMatch(/10\.77\.0\.11 .*\n1$/);
    await out.down("walls-out");
  } finally {
    server.close();
    world.kill();
    ip("link", "del", "pb-world0");
    ip("netns", "del", "pb-world");
    await out[Symbol.asyncDispose]();
  }
  expect(spawnSync("pgrep", ["-f", "[p]asta(.avx2)? --foreground"]).status).toBe(1);
}, 60_000);

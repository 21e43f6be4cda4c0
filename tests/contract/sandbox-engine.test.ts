/** What every engine keeps to, run over each engine that can run here. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { spawn } from "node-pty";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dockerCommand } from "../../sandbox/docker/command.ts";
import { ensureManagedEngine, stopManagedEngine } from "../../sandbox/docker/managed-engine.ts";
import type { IsolationRung, Lab, SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";
import { serve } from "../../src/server/serve.ts";
import { type PlainEngine, startPlainEngine } from "../fixtures/plain-engine.ts";

interface Subject {
  readonly name: string;
  readonly isolation: IsolationRung;
  /** The engine's address for `openSandbox`, and what only a test asks of the outer engine. */
  open(): Promise<{ readonly engine: string; readonly address: string }>;
  close(): Promise<void>;
}

let plain: PlainEngine;
const subjects: readonly Subject[] = [
  {
    name: "managed engine",
    isolation: "userns",
    open: async () => ({ engine: "managed", address: `unix://${await ensureManagedEngine()}` }),
    close: async () => {
      await stopManagedEngine();
    },
  },
  {
    name: "an engine that is there already, without user namespaces",
    isolation: "privileged",
    open: async () => {
      plain = await startPlainEngine();
      return { engine: plain.address, address: plain.address };
    },
    close: async () => plain[Symbol.asyncDispose](),
  },
  {
    name: "an engine on another machine, over TLS",
    isolation: "privileged",
    open: async () => {
      plain = await startPlainEngine({ tls: true });
      process.env["DOCKER_TLS_VERIFY"] = "1";
      process.env["DOCKER_CERT_PATH"] = plain.certificates;
      return { engine: plain.address, address: plain.address };
    },
    close: async () => {
      await plain[Symbol.asyncDispose]();
      for (const name of ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"]) {
        delete process.env[name];
      }
    },
  },
];

describe.each(subjects)("$name", (subject) => {
  let engine: SandboxEngine;
  let lab: Lab;
  let address: string;

  beforeAll(async () => {
    const opened = await subject.open();
    address = opened.address;
    engine = await openSandbox({ engine: opened.engine });
    // What other runs left warm, or half made.
    await engine.keepWarm("iptables", 0);
    await engine.sweep(0);
    lab = await engine.up({ topology: "iptables", name: "contract-one" });
  }, 400_000);

  afterAll(async () => {
    for (const { id } of (await engine?.list()) ?? []) {
      if (id.startsWith("contract-")) await engine.down(id);
    }
    await engine?.[Symbol.asyncDispose]();
    await subject.close();
  }, 60_000);

  test("says what it is and how strongly it keeps labs apart", async () => {
    const description = await engine.describe();
    expect(description.isolation).toBe(subject.isolation);
    expect(description.isolationMeaning).not.toBe("");
    expect(description.version).toMatch(/^\d+\./);
    expect(description.runtime).toMatch(/^runc \d+\./);
    // A machine shows one of the two.
    const version = existsSync("/sys/fs/cgroup/cgroup.controllers") ? 2 : 1;
    expect(description.cgroupVersion).toBe(version);
    console.info(`${subject.name}: cgroup version ${version}`);
  });

  test("gives a lab whose engine answers at once", async () => {
    expect(lab).toMatchObject({ id: "contract-one", lab: "iptables", hosts: [{ name: "host1" }] });
    const version = await lab.host().innerEngine().request({ path: "/version" });
    expect(version).toMatchObject({ status: 200, body: { ApiVersion: expect.any(String) } });
    expect((await lab.host().capture(["hostname"])).stdout).toBe("host1\n");
  });

  test("runs containers with limits, and their statistics are there", async () => {
    const run = "docker run -d --name limited --memory 64m --cpus 0.5 busybox sleep 600";
    expect(await lab.host().capture(["sh", "-c", run])).toMatchObject({ exitCode: 0 });
    const stats = ["docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", "limited"];
    expect((await lab.host().capture(stats)).stdout).toContain("/ 64MiB");
  });

  test("gives the host a stable address, and a gateway that answers for the world outside", async () => {
    const script = "ip -4 -br addr show eth0 && ping -c1 -W1 8.8.8.8 && ping -c1 -W1 1.1.1.1";
    const { exitCode, stdout } = await lab.host().capture(["sh", "-c", script]);
    expect(stdout).toMatch(/^eth0@\S+\s+UP\s+10\.77\.0\.11\/24/);
    expect(exitCode).toBe(0);
    const inside = ["docker", "run", "--rm", "busybox", "ping", "-c1", "-W1", "8.8.8.8"];
    expect((await lab.host().capture(inside)).exitCode).toBe(0);
  });

  test("keeps two labs on wires of their own", async () => {
    const other = await engine.up({ topology: "iptables", name: "contract-two" });
    await other.host().capture(["ip", "addr", "add", "10.77.0.99/24", "dev", "eth0"]);
    const ping = ["ping", "-c1", "-W1", "10.77.0.99"];
    expect((await other.host().capture(ping)).exitCode).toBe(0);
    expect((await lab.host().capture(ping)).exitCode).toBe(1);
    await engine.down("contract-two");
  });

  test("answers for names, of its own machines and of the world outside", async () => {
    const names = async (script: string) =>
      (await lab.host().capture(["sh", "-c", script])).stdout.trim().split("\n");
    expect(await names("dig +short host1; dig +short dns.google; dig +short -x 8.8.8.8")).toEqual([
      "10.77.0.11",
      "8.8.8.8",
      "dns.google.",
    ]);
    expect((await names("dig no-such-name.example")).join("\n")).toContain("status: NXDOMAIN");
    const inside = "docker run --rm busybox nslookup one.one.one.one";
    expect((await names(inside)).join("\n")).toContain("1.1.1.1");
  });

  test("links two hosts, whose containers meet over VXLAN", async () => {
    const two = await engine.up({ topology: "overlay", name: "contract-overlay" });
    expect(two.hosts).toEqual([{ name: "host1" }, { name: "host2" }]);
    const on = async (host: string, script: string) =>
      (await two.host(host).capture(["sh", "-c", `{ ${script}\n} 2>&1`])).stdout.trim();
    const whole = "ping -c1 -W1 -M do -s 1472 host2";
    expect(await on("host1", whole)).toContain(" 0% packet loss");
    expect(await on("host1", "ping -c1 -W1 -M do -s 1473 host2")).toContain("too long");
    await on("host1", "docker swarm init --advertise-addr 10.77.0.11");
    const token = await on("host1", "docker swarm join-token -q worker");
    await on("host2", `docker swarm join --token ${token} 10.77.0.11:2377`);
    await on("host1", "docker network create -d overlay --attachable wide");
    await on("host1", "docker run -d --name one --network wide busybox sleep 600");
    await on("host2", "docker run -d --name two --network wide busybox sleep 600");
    await on("host2", "timeout 6 tcpdump -c2 -lni eth0 udp port 4789 >/root/seen 2>/dev/null &");
    // 1422 bytes and headers of 8, 20 and 50 bytes make a packet of 1500.
    const ping = "docker exec two ping -c3 -W2 -s 1422 one";
    expect(await on("host2", ping)).toContain(" 0% packet loss");
    expect(await on("host2", "cat /root/seen")).toMatch(/10\.77\.0\.1[12].*VXLAN/);
    await engine.down("contract-overlay");
  });

  test("has a neighbour that knows nothing of Docker, for macvlan", async () => {
    const drivers = await engine.up({ topology: "drivers", name: "contract-drivers" });
    expect(drivers.hosts).toEqual([{ name: "host1" }]);
    const make = `docker network create -d macvlan -o parent=eth0 --subnet 10.77.0.0/24 \
      --gateway 10.77.0.1 --ip-range 10.77.0.128/25 wide &&
      docker run -d --name web --network wide --ip 10.77.0.130 nginx && sleep 0.5`;
    expect(await drivers.host().capture(["sh", "-c", make])).toMatchObject({ exitCode: 0 });
    const neighbour = drivers.host("neighbour1");
    const ask = ["curl", "-sI", "--max-time", "3", "10.77.0.130"];
    expect((await neighbour.capture(ask)).stdout).toContain("200 OK");
    expect((await neighbour.capture(["hostname"])).stdout).toBe("neighbour1\n");
    await engine.down("contract-drivers");
  });

  test("hands out a lab that waited, once", async () => {
    await engine.keepWarm("iptables", 1);
    const outer = dockerCommand(address);
    const containers = async () =>
      (await outer("ps", "--quiet", "--filter", "label=patchbay.key")).split("\n").sort();
    const before = await containers();
    // It is nobody's yet.
    expect((await engine.list()).map(({ id }) => id)).toEqual(["contract-one"]);
    const both = ["contract-warm", "contract-cold"];
    const opened = await Promise.all(both.map((name) => engine.up({ topology: "iptables", name })));
    expect(opened.map(({ id, lab: name, state }) => [id, name, state])).toEqual(
      both.map((id) => [id, "iptables", "running"]),
    );
    // One of the two had to be made.
    expect(await containers()).toHaveLength(before.length + 1);
    const hello = ["docker", "run", "--rm", "busybox", "echo", "hello"];
    for (const one of opened) expect((await one.host().capture(hello)).stdout).toBe("hello\n");
    for (const id of both) await engine.down(id);
  });

  test("remembers marks of a lab for every process, until it is reset", async () => {
    await lab.mark("lesson/exercise#seen");
    const first = (await lab.marks())["lesson/exercise#seen"];
    await lab.mark("lesson/exercise#seen");
    await lab.mark("“ / .. \n ☂");
    await using other = await openSandbox({ engine: address });
    const marks = await (await other.find("contract-one")).marks();
    expect(marks).toEqual({ "lesson/exercise#seen": first, "“ / .. \n ☂": expect.any(Number) });
    await expect(lab.mark("")).rejects.toMatchObject({ code: "probe-failed" });
    await expect(lab.mark("x".repeat(181))).rejects.toMatchObject({ code: "probe-failed" });
    for (let count = 2; count < 256; count += 1) await lab.mark(`mark ${count}`);
    await expect(lab.mark("one too many")).rejects.toMatchObject({ code: "probe-failed" });
    await engine.sweep(0);
    expect(Object.keys(await lab.marks())).toHaveLength(256);
    await engine.stop("contract-one");
    lab = await engine.start("contract-one");
    expect(Object.keys(await lab.marks())).toHaveLength(256);
    lab = await engine.reset("contract-one");
    expect(await lab.marks()).toEqual({});
  });

  test("tells that something of a host has changed, and nothing while nothing does", async () => {
    const host = lab.host();
    const over = new AbortController();
    const told: string[][] = [];
    const listening = (async () => {
      for await (const kinds of host.hand().changes({ signal: over.signal })) told.push([...kinds]);
    })();
    listening.catch(() => undefined);
    await expect.poll(() => told, { timeout: 10_000 }).toEqual([[]]);
    /** Runs a command, and waits until changes of these kinds were told. */
    const tells = async (script: string, ...kinds: string[]) => {
      told.length = 0;
      await host.capture(["bash", "-c", script]);
      const missing = () => kinds.filter((kind) => !told.flat().includes(kind));
      await expect.poll(missing, { message: script, timeout: 10_000 }).toEqual([]);
    };
    // As the lecture shows it, before the first ip netns add.
    await tells("mkdir /run/netns; ln -s /proc/1/ns/net /run/netns/own", "files");
    await tells("ip netns add red", "files", "mounts");
    await tells("ip -n red link set lo up", "network");
    await tells("ip netns exec red nft add table ip mine", "filter");
    await tells("iptables -A INPUT -p udp --dport 9 -j DROP", "filter");
    await tells("sysctl -qw net.ipv4.conf.eth0.forwarding=0", "network");
    await tells("mkdir -p /root/a/b; echo 1 > /root/a/b/c", "files");
    await tells("echo 2 > /root/a/b/c", "files");
    await tells("docker volume create one", "engine");
    await tells("docker run -d --name web nginx", "engine", "mounts", "network", "sockets");
    await sleep(2000);
    told.length = 0;
    // Reading, pinging and looking about is no change.
    const quiet = `docker exec web true; docker ps -a; ls -R /root; cat /root/a/b/c; ip -n red link
      ping -c2 -W1 $(docker inspect -f '{{.NetworkSettings.IPAddress}}' web); curl -s localhost:80; iptables-save`;
    await host.capture(["bash", "-c", quiet]);
    await sleep(1500);
    expect(told).toEqual([]);
    // Namespaces are not held: the far end goes with its namespace.
    await host.capture(["sh", "-c", "ip link add near type veth peer name far netns red"]);
    await tells("ip netns del red; while ip link show near; do sleep 0.05; done", "network");
    over.abort();
    await listening;
    // The lab is others' too: what comes to its ports is to be forwarded again.
    const restore = "docker rm -f web; sysctl -qw net.ipv4.conf.eth0.forwarding=1";
    await host.capture(["sh", "-c", restore]);
  });

  test("tells who listens for changes that the host has ended", async () => {
    const one = await engine.up({ topology: "bridge", name: "contract-ends" });
    const { signal } = new AbortController();
    let down: Promise<void> | undefined;
    const listening = (async () => {
      for await (const kinds of one.host().hand().changes({ signal })) {
        if (kinds.length === 0) down = engine.down("contract-ends");
      }
    })();
    await expect(listening).rejects.toMatchObject({ code: "lab-broken" });
    await down;
  });

  test("removes what a crash left half made, and nothing else", async () => {
    const outer = dockerCommand(address);
    const image = await outer("inspect", "--format", "{{.Image}}", "patchbay-steward");
    const half = [
      "--name",
      "patchbay.making.0badc0ffee.host1",
      "--label",
      "patchbay.key=0badc0ffee",
    ];
    await outer("create", ...half, "--label", "patchbay.machine=host1", "--network", "none", image);
    await outer("exec", "patchbay-steward", "ip", "netns", "add", "0badc0ffef");
    await outer("exec", "patchbay-steward", "touch", "/disks/0badc0ffef-host1.ext4");
    expect(await engine.sweep()).toEqual([]);
    await sleep(1100);
    expect(await engine.sweep(1000)).toEqual([
      "making lab 0badc0ffee",
      "wires of 0badc0ffef",
      "disk 0badc0ffef-host1.ext4",
    ]);
    expect((await engine.find("contract-one")).state).toBe("running");
    const ping = ["ping", "-c1", "-W1", "8.8.8.8"];
    expect((await lab.host().capture(ping)).exitCode).toBe(0);
  });

  test("passes stdin, stdout, stderr and the exit code through", async () => {
    const script = "cat; echo to-stderr >&2; exit 37";
    const input = "x".repeat(300_000);
    const { exitCode, stdout, stderr } = await lab.host().capture(["sh", "-c", script], { input });
    expect([exitCode, stdout.length, stderr]).toEqual([37, 300_000, "to-stderr\n"]);
    expect((await lab.host().capture(["no-such-command"])).exitCode).toBe(127);
    expect((await lab.host().capture(["/etc"])).exitCode).toBe(126);
    const endless = { stdin: new Readable({ read: () => undefined }) };
    expect(await lab.host().exec(["true"], endless)).toBe(0);
  });

  test("ends a command, and its children, when it is called off", async () => {
    const controller = new AbortController();
    const script = "sleep 4711 & sleep 4712";
    const running = lab.host().exec(["sh", "-c", script], { signal: controller.signal });
    const sleeps = async () =>
      (await lab.host().capture(["pgrep", "-fc", "^sleep 471"])).stdout.trim();
    await expect.poll(sleeps, { timeout: 10_000 }).toBe("2");
    controller.abort();
    await expect(running).rejects.toThrow(/abort/i);
    await expect.poll(sleeps, { timeout: 10_000 }).toBe("0");
  });

  test("gives a shell in a PTY, and ends it with everything that it started", async () => {
    const { file, args, env } = lab.host().shellCommand({ terminalId: "contract" });
    const pty = spawn(file, [...args], { env: { ...process.env, ...env }, cols: 80, rows: 24 });
    let shown = "";
    pty.onData((data) => {
      shown += data;
    });
    const until = async (text: string) => {
      const deadline = performance.now() + 10_000;
      while (!shown.includes(text)) {
        if (performance.now() > deadline) throw new Error(`no "${text}" in: ${shown}`);
        await sleep(20);
      }
    };
    await until("root@host1");
    pty.write("tty; stty size; setsid sleep 4713 & echo started\r");
    await until("24 80");
    await until("started\r\n");
    await lab.host().endShell("contract");
    expect((await lab.host().capture(["pgrep", "-f", "sleep 4713"])).exitCode).toBe(1);
    await lab.host().endShell("contract");
    pty.kill();
  });

  test("connects to the inner engine's socket", async () => {
    const connection = await lab.host().innerEngine().dial();
    connection.end("GET /_ping HTTP/1.0\r\nHost: x\r\n\r\n");
    const text = (await connection.toArray()).join("");
    expect(text).toContain("200 OK");
  });

  test("connects to a port of the host as a client outside of it would", async () => {
    const host = lab.host();
    const run = `docker run -d --name web -p 8080:80 nginx && docker run -d --name inward -p 127.0.0.1:8081:80 nginx
      ncat=/root/echo.py; cat > $ncat <<'PYTHON'
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128
Server(("0.0.0.0", 7000), Echo).serve_forever()
PYTHON
      nohup python3 $ncat >/dev/null 2>&1 &`;
    expect(await host.capture(["sh", "-c", run])).toMatchObject({ exitCode: 0 });
    const get = async () => {
      const connection = await host.connect({ port: 8080 });
      connection.write("GET / HTTP/1.0\r\n\r\n");
      return (await connection.toArray()).join("");
    };
    expect(await get()).toMatch(/^HTTP\/1.1 200 OK[\s\S]*<h1>Welcome to nginx/);
    // By the lab's own network, from its gateway.
    const log = await host.capture(["docker", "logs", "web"]);
    expect(log.stdout).toMatch(/^10\.77\.0\.1 /m);
    await expect(host.connect({ port: 8082 })).rejects.toMatchObject({
      code: "port-closed",
      message: "Nothing listens on port 8082 of host1.",
    });
    await expect(host.connect({ port: 8081 })).rejects.toMatchObject({ code: "port-closed" });
    await host.capture(["iptables", "-I", "DOCKER-USER", "-p", "tcp", "-j", "DROP"]);
    await expect(host.connect({ port: 8080, timeoutMs: 500 })).rejects.toMatchObject({
      code: "port-silent",
      message: "There is no answer from port 8080 of host1 (ETIMEDOUT).",
    });
    const controller = new AbortController();
    const called = host.connect({ port: 8080, signal: controller.signal });
    controller.abort();
    await expect(called).rejects.toThrow(/abort/i);
    await host.capture(["iptables", "-D", "DOCKER-USER", "-p", "tcp", "-j", "DROP"]);
    expect(await get()).toContain("200 OK");
  });

  test("carries many connections to a host at once, each at its own pace", async () => {
    const host = lab.host();
    const open = () => host.connect({ port: 7000 });
    const bytes = randomBytes(3 << 20);
    const digest = (data: Buffer) => createHash("sha256").update(data).digest("hex");
    // One that is never read, with more in it than its window: nobody else waits for it.
    const stuck = await open();
    stuck.write(bytes);
    const echoed = async () => {
      const connection = await open();
      connection.end(bytes);
      return digest(Buffer.concat(await connection.toArray()));
    };
    const many = await Promise.all(Array.from({ length: 12 }, echoed));
    expect(new Set(many)).toEqual(new Set([digest(bytes)]));
    const idle = await Promise.all(Array.from({ length: 60 }, open));
    for (const connection of idle) connection.write("hello");
    for (const connection of idle) {
      const [chunk] = await once(connection, "data");
      expect(String(chunk)).toBe("hello");
      connection.destroy();
    }
    const established = "ss -Htn state established '( sport = 7000 )' | wc -l";
    const count = async () => (await host.capture(["sh", "-c", established])).stdout.trim();
    await expect.poll(count, { timeout: 10_000 }).toBe("1");
    stuck.destroy();
    await expect.poll(count, { timeout: 10_000 }).toBe("0");
    // A program that ends takes its connections along, and only those.
    const [one, other] = await Promise.all([open(), host.connect({ port: 8080 })]);
    one.write("x");
    await once(one, "data");
    const ended = once(one.resume(), "end");
    await host.capture(["pkill", "-KILL", "-f", "echo.py"]);
    await ended;
    const closed = once(one, "close");
    one.end();
    await closed;
    expect(other.destroyed).toBe(false);
    other.destroy();
    await host.capture(["sh", "-c", "docker rm -f web inward"]);
  });

  test("gives a course image by its id, whatever bears its name, and though it was removed", async () => {
    const { id, loaded } = await lab.host().trustedImage("busybox");
    expect(loaded).toBe(false);
    const forge = "docker tag nginx busybox && docker image rm nginx";
    expect((await lab.host().capture(["sh", "-c", forge])).exitCode).toBe(0);
    expect(await lab.host().trustedImage("busybox")).toEqual({ id, loaded: false });
    await lab
      .host()
      .capture(["sh", "-c", "docker rm -f limited; docker rmi -f $(docker images -aq)"]);
    const brought = await lab.host().trustedImage("busybox");
    expect(brought.loaded).toBe(true);
    const run = ["docker", "run", "--rm", brought.id, "echo", "brought back"];
    expect((await lab.host().capture(run)).stdout).toBe("brought back\n");
  });

  test("resets to the start state, under the same id", async () => {
    await lab.host().capture(["sh", "-c", "docker network create mine; touch /root/mine"]);
    const again = await engine.reset("contract-one");
    expect(again.id).toBe("contract-one");
    const look =
      "ls /root; docker network ls --format '{{.Name}}'; docker images | grep -c ^busybox";
    const { stdout } = await again.host().capture(["sh", "-c", look]);
    expect(stdout).toBe("bridge\nhost\nnone\n1\n");
    lab = again;
  });

  test("keeps the files of a lab that was stopped", async () => {
    await lab.host().capture(["touch", "/root/kept"]);
    await engine.stop("contract-one");
    expect((await engine.find("contract-one")).state).toBe("stopped");
    const back = await engine.start("contract-one");
    const look = "ls /root; ping -c1 -W1 8.8.8.8 >/dev/null && docker run --rm busybox echo runs";
    expect((await back.host().capture(["sh", "-c", look])).stdout).toBe("kept\nruns\n");
  });

  test("keeps its images when the engine inside is restarted", async () => {
    const script = `kill $(cat /run/patchbay/dockerd.pid); sleep 1
      until docker version >/dev/null 2>&1; do sleep 0.1; done; docker run --rm busybox echo runs`;
    expect((await lab.host().capture(["bash", "-c", script])).stdout).toBe("runs\n");
  });

  test("stops and removes a lab in which something is paused", async () => {
    const paused = await engine.up({ topology: "iptables", name: "contract-paused" });
    const pause = "docker run -d --name frozen busybox sleep 600 && docker pause frozen";
    expect(await paused.host().capture(["sh", "-c", pause])).toMatchObject({ exitCode: 0 });
    await engine.down("contract-paused");
    expect((await engine.list()).map(({ id }) => id)).not.toContain("contract-paused");
  });

  test("brings the wires back when the sidecar was lost", async () => {
    await dockerCommand(address)("rm", "--force", "--volumes", "patchbay-steward");
    const current = await engine.find("contract-one");
    const measured = async () => {
      await current.facts();
      return true;
    };
    await expect.poll(() => measured().catch(() => false), { timeout: 15_000 }).toBe(true);
    const ping = ["ping", "-c1", "-W1", "8.8.8.8"];
    expect((await current.host().capture(ping)).exitCode).toBe(0);
  });

  test("lets nobody but the operator in where root in a lab is root of the machine", async () => {
    const folder = mkdtempSync(join(tmpdir(), "pb-"));
    const start = () =>
      serve({ engine, host: "0.0.0.0", port: 0, siteDir: folder, stateDir: folder });
    if (subject.isolation === "privileged") await expect(start()).rejects.toThrow(/for you alone/);
    else await (await start())[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  test("refuses wrong requests with words that help", async () => {
    const error = (code: string, message: RegExp) =>
      expect.objectContaining({ code, message: expect.stringMatching(message) });
    await expect(engine.up({ topology: "iptable" })).rejects.toEqual(
      error("topology-not-found", /Did you mean "iptables"\?/),
    );
    await expect(engine.up({ topology: "iptables", name: "a b" })).rejects.toEqual(
      error("name-invalid", /a-z, 0-9/),
    );
    await expect(engine.up({ topology: "iptables", name: "contract-one" })).rejects.toEqual(
      error("name-taken", /patchbay lab down contract-one/),
    );
    await expect(engine.find("contract-on")).rejects.toEqual(
      error("lab-not-found", /Did you mean "contract-one"\?/),
    );
    expect(() => lab.host("host9")).toThrow(/Hosts: host1/);
  });

  test("leaves nothing of a lab whose start was called off", async () => {
    const controller = new AbortController();
    const started = engine.up({
      topology: "iptables",
      name: "contract-off",
      signal: controller.signal,
      onProgress: ({ title }) => title === "Docker engine inside" && controller.abort(),
    });
    await expect(started).rejects.toThrow(/abort/i);
    expect((await engine.list()).map(({ id }) => id)).not.toContain("contract-off");
  });

  test("leaves nothing of a lab that is down", async () => {
    await expect(lab.host().connect({ port: 9 })).rejects.toMatchObject({ code: "port-closed" });
    const outer = dockerCommand(address);
    const [container = ""] = (await outer("ps", "--quiet", "--filter", "name=contract-one")).split(
      "\n",
    );
    const key = await outer(
      "inspect",
      "--format",
      '{{index .Config.Labels "patchbay.key"}}',
      container,
    );
    const relays = async () =>
      (await outer("top", "patchbay-steward", "-eo", "pid,args")).split(`hand relay ${key}`)
        .length - 1;
    expect(await relays()).toBe(1);
    await engine.down("contract-one");
    await expect(engine.down("contract-one")).rejects.toMatchObject({ code: "lab-not-found" });
    const docker = dockerCommand(address);
    expect(await docker("ps", "--all", "--quiet", "--filter", "label=patchbay.key")).toBe("");
    expect(await docker("volume", "ls", "--quiet", "--filter", "dangling=true")).toBe("");
    expect(await docker("exec", "patchbay-steward", "ip", "netns", "list")).toBe("");
    expect(await relays()).toBe(0);
  });
});

test("refuses an address that is none, and one that does not answer", async () => {
  await expect(openSandbox({ engine: "docker.sock" })).rejects.toMatchObject({
    code: "engine-unreachable",
    message: expect.stringContaining("unix:///"),
  });
  await expect(openSandbox({ engine: "unix:///nowhere.sock" })).rejects.toMatchObject({
    code: "engine-unreachable",
    message: expect.stringContaining("/nowhere.sock"),
  });
});

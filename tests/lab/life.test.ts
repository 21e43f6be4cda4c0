/** What outlives what: crashes of the server, of the engine, of the whole machine. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { managedEnginePaths } from "../../sandbox/docker/managed-engine.ts";
import type { SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";
import { TerminalGateway } from "../../src/terminal/server/index.ts";
import { CourseClient } from "../fixtures/course-client.ts";

const main = fileURLToPath(new URL("../../src/server/main.ts", import.meta.url));
const enginePid = () =>
  Number(readFileSync(join(managedEnginePaths.runDirectory, "docker.pid"), "utf8"));
let stateDir: string;
let server: ChildProcess | undefined;
let url = "";
const student = new CourseClient(() => url);
let engine: SandboxEngine;

async function startServer(port = "0"): Promise<void> {
  const env = { ...process.env, PATCHBAY_STATE_DIR: stateDir, PATCHBAY_ENGINE: "managed" };
  server = spawn(process.execPath, [main, "--port", port, "--warm", "0"], { env });
  let printed = "";
  for (const stream of [server.stdout, server.stderr]) {
    stream?.on("data", (chunk) => {
      printed += chunk;
    });
  }
  const address = () => printed.match(/Patchbay is at (\S+)/)?.[1];
  while (address() === undefined && server.exitCode === null) await sleep(50);
  expect(address(), printed).toBeDefined();
  url = address() ?? "";
}

async function killServer(): Promise<void> {
  const ended = new Promise((resolve) => server?.once("exit", resolve));
  server?.kill("SIGKILL");
  await ended;
}

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "pb-"));
  engine = await openSandbox({ engine: "managed" });
  await engine.prepare();
  await startServer();
  await student.visit();
}, 400_000);

afterAll(async () => {
  await killServer();
  await using terminals = new TerminalGateway({ stateDir });
  for (const lab of await terminals.labs()) await terminals.closeLab(lab);
  await engine[Symbol.asyncDispose]();
  engine = await openSandbox({ engine: "managed" });
  for (const { id } of await engine.list()) await engine.down(id);
  await engine[Symbol.asyncDispose]();
  rmSync(stateDir, { recursive: true, force: true });
}, 60_000);

test("a killed server leaves shell, screen and background jobs, and the next one finds them", async () => {
  const lab = await student.runningLab();
  const before = await student.openTerminal(lab);
  await before.shows("root@host1");
  before.type("kept=over-$((6*7)); sleep 9753 & echo on-$kept\r");
  await before.shows("on-over-42");
  await killServer();
  await startServer(new URL(url).port);
  expect((await student.ask("GET", `/api/labs/${lab}`)).body.state).toBe("running");
  const after = student.attach(lab, before.id);
  await after.shows("on-over-42");
  after.type("echo again-$kept; jobs\r");
  await after.shows("again-over-42");
  await after.shows("sleep 9753");
  after.close();
});

test("a server killed while a lab starts hands out no half-made one", async () => {
  for (const { id } of await engine.list()) await engine.down(id);
  const { body } = await student.ask("POST", "/api/labs", { lab: "overlay" });
  expect(body.state).toBe("starting");
  await sleep(150);
  await killServer();
  await startServer(new URL(url).port);
  const again = (await student.ask("POST", "/api/labs", { lab: "overlay" })).body;
  const state = async () => (await student.ask("GET", `/api/labs/${again.id}`)).body.state;
  await expect.poll(state, { timeout: 30_000 }).toBe("running");
  const lab = await engine.find(again.id);
  expect(lab.hosts.map(({ name }) => name)).toEqual(["host1", "host2"]);
  expect((await lab.host("host2").capture(["docker", "ps", "-q"])).exitCode).toBe(0);
  // What the killed one had begun goes with the next sweep.
  const removed = await engine.sweep(0);
  expect(removed.filter((what) => /^making lab/.test(what)).length).toBeLessThanOrEqual(1);
  expect((await engine.list()).map(({ id }) => id)).toEqual([again.id]);
  await engine.down(again.id);
});

test("a killed engine leaves labs and what runs in them", async () => {
  const lab = await engine.up({ topology: "iptables", name: "life-crash" });
  const run = "docker run -d --name stays busybox sleep 600; touch /root/kept";
  expect((await lab.host().capture(["sh", "-c", run])).exitCode).toBe(0);
  const started = "docker inspect -f '{{.State.StartedAt}}' stays";
  const before = (await lab.host().capture(["sh", "-c", started])).stdout;
  await engine[Symbol.asyncDispose]();
  process.kill(enginePid(), "SIGKILL");
  await sleep(300);
  engine = await openSandbox({ engine: "managed" });
  const back = await engine.find("life-crash");
  expect(back.state).toBe("running");
  expect((await back.host().capture(["sh", "-c", started])).stdout).toBe(before);
  const ping = ["ping", "-c1", "-W1", "8.8.8.8"];
  expect((await back.host().capture(ping)).exitCode).toBe(0);
});

/** What works for the managed engine of these tests, and all that descends from it: shims keep containers' processes. */
function engineProcesses(): number[] {
  const ours = `${managedEnginePaths.dataRoot}|${managedEnginePaths.runDirectory}/`;
  const found = execFileSync("pgrep", ["-f", ours], { encoding: "utf8" }).trim().split("\n");
  const all = execFileSync("ps", ["-e", "-o", "pid=,ppid="], { encoding: "utf8" })
    .trim()
    .split("\n");
  const pairs = all.map((line) => line.trim().split(/\s+/).map(Number));
  const pids = new Set(found.map(Number).filter((pid) => pid !== process.pid));
  for (let before = -1; before < pids.size; ) {
    before = pids.size;
    for (const [pid = 0, parent = 0] of pairs) if (pids.has(parent)) pids.add(pid);
  }
  return [...pids];
}

test("after a power cut a lab comes back with its files, and its containers by their policy", async () => {
  const lab = await engine.find("life-crash");
  const script = `docker run -d --name always --restart always busybox sleep 600
    docker network create mine; echo written > /root/written; sync`;
  expect((await lab.host().capture(["sh", "-c", script])).exitCode).toBe(0);
  await engine[Symbol.asyncDispose]();
  // Engine, its containerd, and every process of every container at once; those of this engine alone.
  for (const pid of engineProcesses()) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
  await sleep(500);
  engine = await openSandbox({ engine: "managed" });
  await expect
    .poll(async () => (await engine.find("life-crash")).state, { timeout: 15_000 })
    .toBe("stopped");
  const back = await engine.start("life-crash");
  const look = "cat /root/written; docker network ls -q -f name=mine | wc -l; ls /root/kept";
  expect((await back.host().capture(["sh", "-c", look])).stdout).toBe("written\n1\n/root/kept\n");
  const names = async () =>
    (await back.host().capture(["docker", "ps", "--format", "{{.Names}}"])).stdout;
  await expect.poll(names, { timeout: 10_000 }).toBe("always\n");
  const ping = ["docker", "exec", "always", "ping", "-c1", "-W1", "8.8.8.8"];
  expect((await back.host().capture(ping)).exitCode).toBe(0);
});

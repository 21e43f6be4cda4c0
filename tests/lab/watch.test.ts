/** Labs that are graded again by themselves: by the command, by the library, and what passes by. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as pty from "node-pty";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fingerprint, stillFacts } from "../../graders/core/fingerprint.ts";
import {
  type Exercise,
  type ExerciseResult,
  exercises,
  exercisesWith,
  gradeExercise,
  LabWatch,
} from "../../graders/index.ts";
import { type Lab, readPlugins, type SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";

const graders = fileURLToPath(new URL("../../bin/graders.mjs", import.meta.url));
const plugins = readPlugins([
  fileURLToPath(new URL("../../examples/failure-drills", import.meta.url)),
]);
const { FORCE_COLOR: _, NO_COLOR: __, ...machine } = process.env;
let environment: NodeJS.ProcessEnv;
let stateDir: string;
let engine: SandboxEngine;
let lab: Lab;

const exercise = (id: string): Exercise => {
  const found = exercises.find((each) => each.id === id);
  if (found === undefined) throw new Error(`There is no exercise ${id}.`);
  return found;
};
const run = (script: string, on: Lab = lab) => on.host().capture(["bash", "-c", script]);

/** What a watch told, and how to end it. */
function watched(id: string, followed: readonly Exercise[]) {
  const told: ExerciseResult[] = [];
  const watch = new LabWatch(
    () => engine.find(id),
    (message) => told.push({ exercise: message, status: "errored", durationMs: 0, checks: [] }),
  );
  const stops = followed.map((each) => watch.follow(each, (result) => told.push(result)));
  return {
    told,
    last: (exerciseId?: string) =>
      told.findLast((result) => exerciseId === undefined || result.exercise === exerciseId),
    async end() {
      for (const stop of stops) stop();
      await watch.ended;
    },
  };
}

const statusOf = (result: ExerciseResult | undefined, check: string) =>
  result?.checks.find(({ id }) => id === check)?.status;

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "pb-"));
  environment = { ...machine, PATCHBAY_STATE_DIR: stateDir, PATCHBAY_ENGINE: "managed" };
  engine = await openSandbox({ engine: "managed", plugins });
  await engine.prepare();
  lab = await engine.up({ topology: "bridge", name: "watched" });
}, 400_000);

afterAll(async () => {
  for (const { id } of (await engine?.list()) ?? []) {
    if (id.startsWith("watched")) await engine.down(id);
  }
  await engine?.[Symbol.asyncDispose]();
  rmSync(stateDir, { recursive: true, force: true });
}, 60_000);

test("a lab looks the same while pings run and a grader's containers come and go", async () => {
  const { signal } = new AbortController();
  await run(`docker network create still; docker run -d --name one --network still busybox sleep infinity
    docker run -d --name two --network still --health-cmd true --health-interval 1s nginx; sleep 2
    docker run --rm --label patchbay.check=before --network still busybox ping -c1 one`);
  const before = await lab.facts({ signal });
  await run(`docker exec one ping -c3 -i 0.2 two; ping -c2 -i 0.2 10.77.0.1; sleep 1.2
    docker run -d --label patchbay.check=x --name patchbay-check-1 --network still busybox sleep 60`);
  expect(stillFacts(await lab.facts({ signal }))).toEqual(stillFacts(before));
  await run("docker rm -f patchbay-check-1");
  expect(stillFacts(await lab.facts({ signal }))).toEqual(stillFacts(before));
  for (const change of [
    "ip link set docker0 mtu 1400",
    "iptables -A INPUT -p udp --dport 7 -j DROP",
    "iptables -I INPUT -p udp --dport 8 -j DROP",
    "ip neigh add 10.77.0.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent",
    "ip route add 10.99.0.0/24 via 10.77.0.1",
    "docker network create other",
    "docker stop -t 0 one",
  ]) {
    const earlier = fingerprint(await lab.facts({ signal }));
    await run(change);
    expect([change, fingerprint(await lab.facts({ signal })) === earlier]).toEqual([change, false]);
  }
  lab = await engine.reset(lab.id);
});

test("tells each result as the lab changes, once, and nothing while it does not", async () => {
  const watch = watched(lab.id, [exercise("bridge/by-hand"), exercise("bridge/user-defined-dns")]);
  const byHand = () => watch.last("bridge/by-hand");
  await expect.poll(byHand, { timeout: 15_000 }).toMatchObject({ status: "failed" });
  await run("ip link add lab0 type bridge; ip addr add 10.20.0.1/24 dev lab0; ip link set lab0 up");
  await expect.poll(() => statusOf(byHand(), "bridge"), { timeout: 15_000 }).toBe("passed");
  await run("ip link set lab0 down");
  await expect.poll(() => statusOf(byHand(), "bridge"), { timeout: 15_000 }).toBe("failed");
  const count = watch.told.length;
  await sleep(4000);
  expect(watch.told.slice(count)).toEqual([]);
  // The whole way, as a solution does it.
  await run("ip link del lab0");
  const [solution] = exercise("bridge/by-hand").solutions;
  await run(String(solution?.script));
  await expect.poll(() => byHand()?.status, { timeout: 15_000 }).toBe("passed");
  await watch.end();
  // An order that alternates tells nobody anything: each result is another one.
  const byId = Map.groupBy(watch.told, (result) => result.exercise);
  for (const results of byId.values()) {
    const texts = results.map((result) => JSON.stringify({ ...result, durationMs: 0 }));
    for (const [index, text] of texts.entries()) expect(text).not.toBe(texts[index + 1]);
  }
});

test("checks that start containers wait for a quiet moment, and keep their verdict until then", async () => {
  await run("ip link del lab0; ip -all netns del");
  const watch = watched(lab.id, [exercise("bridge/custom-options")]);
  await expect.poll(() => watch.last(), { timeout: 15_000 }).toBeDefined();
  await run("docker network create --subnet 172.25.0.0/16 my-bridge-003");
  const observed = () => statusOf(watch.last(), "containers-start");
  await expect.poll(observed, { timeout: 15_000 }).toBe("skipped");
  await expect.poll(observed, { timeout: 15_000 }).toBe("passed");
  const count = watch.told.length;
  await run("touch /root/something");
  await sleep(6000);
  expect(watch.told.slice(count)).toEqual([]);
  await watch.end();
  expect((await run("docker ps -aq")).stdout).toBe("");
});

test("a lab that is reset is watched on; one that does not answer is told as broken, without a verdict", async () => {
  const names = exercise("bridge/user-defined-dns");
  const watch = watched(lab.id, [exercise("bridge/by-hand"), names]);
  const byHand = () => watch.last("bridge/by-hand");
  await expect.poll(() => byHand()?.status, { timeout: 15_000 }).toBe("failed");
  lab = await engine.reset(lab.id);
  await run("ip link add lab0 type bridge");
  const actual = () => byHand()?.checks.find(({ id }) => id === "bridge");
  await expect
    .poll(actual, { timeout: 20_000 })
    .toMatchObject({ actual: { en: "lab0 has: none" } });
  expect(watch.told.map(({ status }) => status)).not.toContain("errored");
  await run("pkill -STOP -x dockerd; ip link del lab0");
  const dns = () => watch.last(names.id);
  await expect.poll(() => dns()?.status, { timeout: 30_000 }).toBe("errored");
  expect(JSON.stringify(dns())).toContain("inner-engine-timeout");
  // The kernel is looked at all the same.
  await expect
    .poll(actual, { timeout: 20_000 })
    .toMatchObject({ actual: { en: "there is no lab0" } });
  await run("pkill -CONT -x dockerd");
  await expect.poll(() => dns()?.status, { timeout: 30_000 }).toBe("failed");
  await watch.end();
}, 120_000);

test("does nothing to the student's containers that nobody asked for", async () => {
  const other = await engine.up({ topology: "iptables", name: "watched-iptables" });
  const block = exercise("iptables/block-one-client");
  const [solution] = block.solutions;
  await run(String(solution?.script), other);
  const startedAt = async () =>
    (await run("docker inspect -f '{{.State.StartedAt}}' client1 client2 web", other)).stdout;
  const before = await startedAt();
  const watch = watched(other.id, [block]);
  await expect
    .poll(() => statusOf(watch.last(), "one-blocked"), { timeout: 20_000 })
    .toBe("passed");
  await sleep(3000);
  expect(watch.last()).toMatchObject({
    status: "skipped",
    checks: [
      { status: "passed" },
      { status: "passed" },
      {
        status: "skipped",
        because: { en: expect.stringContaining("only when you ask for a check") },
      },
    ],
  });
  await watch.end();
  expect(await startedAt()).toBe(before);
  await engine.down(other.id);
});

test("what passed by while it was watched stays passed for every process, until the lab is reset", async () => {
  let drills = await engine.up({ topology: "drills", name: "watched-drills" });
  const cableOut = (await exercisesWith(plugins)).find(({ id }) => id === "drills/cable-out");
  if (cableOut === undefined) throw new Error("The example's exercise is gone.");
  expect(await gradeExercise(cableOut, drills)).toMatchObject({
    status: "failed",
    checks: [{ status: "passed" }, { id: "cable-was-out", status: "failed" }, { status: "passed" }],
  });
  const watch = watched(drills.id, [cableOut]);
  await expect.poll(() => watch.last()?.status, { timeout: 15_000 }).toBe("failed");
  const [solution] = cableOut.solutions;
  await run(String(solution?.script), drills);
  await expect.poll(() => watch.last()?.status, { timeout: 15_000 }).toBe("passed");
  await watch.end();
  const check = spawn(
    process.execPath,
    [graders, "check", "--lab", drills.id, "--format", "json"],
    {
      env: { ...environment, PATCHBAY_PLUGINS: plugins.map(({ name }) => name).join(":") },
    },
  );
  const [result] = JSON.parse((await check.stdout.toArray()).join(""));
  expect(result.status).toBe("passed");
  expect(result.checks[1].actual).toMatch(/^seen on 2\d{3}-/);
  drills = await engine.reset(drills.id);
  expect(statusOf(await gradeExercise(cableOut, drills), "cable-was-out")).toBe("failed");
  await engine.down(drills.id);
});

test("graders watch prints changes line by line, or as JSON, and ends cleanly by Ctrl-C", async () => {
  lab = await engine.reset(lab.id);
  for (const format of ["pretty", "json"]) {
    const args = ["watch", "bridge/by-hand", "--lab", lab.id, "--format", format];
    const child = spawn(process.execPath, [graders, ...args], { env: environment });
    let shown = "";
    child.stdout.on("data", (data) => {
      shown += data;
    });
    await expect.poll(() => shown, { timeout: 15_000 }).toContain("there is no lab0");
    await run("ip link add lab0 type bridge");
    await expect.poll(() => shown, { timeout: 15_000 }).toContain("lab0 has: none");
    child.kill("SIGINT");
    expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(0);
    const lines = shown.trimEnd().split("\n");
    if (format === "json") {
      const results = lines.map((line) => JSON.parse(line));
      expect(results.map(({ type, result }) => [type, result.exercise])).toEqual(
        Array(2).fill(["result", "bridge/by-hand"]),
      );
    } else {
      expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d bridge\/by-hand failed: 0 of 3 checks passed$/);
      expect(lines.at(-1)).toBe("  bridge failed: lab0 has: none");
      expect(shown).not.toContain("\u001b");
    }
    await run("ip link del lab0");
  }
}, 60_000);

test("graders watch redraws a terminal's screen, cut to its height, and leaves the last state behind", async () => {
  const args = [graders, "watch", "--lab", lab.id];
  const terminal = pty.spawn(process.execPath, args, {
    cols: 70,
    rows: 12,
    env: { ...environment, TERM: "xterm-256color" } as Record<string, string>,
  });
  let shown = "";
  terminal.onData((data) => {
    shown += data;
  });
  await expect
    .poll(() => shown, { timeout: 20_000 })
    .toContain("more lines: make the window taller");
  expect(shown).toContain("\u001b[?1049h");
  // A screen that scrolls would lose its first lines.
  const last = shown.slice(shown.lastIndexOf("\u001b[H\u001b[2J"));
  expect(last.split("\n").length).toBeLessThanOrEqual(12);
  terminal.write("\u0003");
  const code = await new Promise((resolve) => terminal.onExit(({ exitCode }) => resolve(exitCode)));
  expect(code).toBe(0);
  const left = shown.slice(shown.lastIndexOf("\u001b[?1049l"));
  expect(left).toContain("bridge/custom-options");
}, 60_000);

test("graders check --all-labs makes a table of labs and exercises; a broken lab is a line that says so", async () => {
  await engine.up({ topology: "veth", name: "watched-veth" });
  await engine.up({ topology: "veth", name: "watched-asleep" });
  await engine.stop("watched-asleep");
  const lying = await engine.up({ topology: "veth", name: "watched-lying" });
  // It answers everything, and means nothing.
  await run(
    `mv /run/docker.sock /run/real.sock; cat > /root/lie.py <<'P'
import socketserver
class Lie(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.0 200 OK\\r\\n\\r\\nnonsense, =1+1")
socketserver.ThreadingUnixStreamServer("/run/docker.sock", Lie).serve_forever()
P
setsid python3 /root/lie.py >/dev/null 2>&1 & until [ -S /run/docker.sock ]; do sleep 0.05; done`,
    lying,
  );
  const check = async (format: string) => {
    const args = [
      "check",
      "--all-labs",
      "--format",
      format,
      "veth/find-host-peer",
      "bridge/by-hand",
    ];
    const child = spawn(process.execPath, [graders, ...args], { env: environment });
    const [stdout, code] = await Promise.all([
      child.stdout.toArray(),
      new Promise((resolve) => child.on("exit", resolve)),
    ]);
    return { code, text: stdout.join("") };
  };
  const csv = await check("csv");
  expect(csv.code).toBe(3);
  const lines = csv.text.split("\r\n");
  expect(lines[0]).toBe("lab,kind,problem,veth/find-host-peer,bridge/by-hand");
  expect(lines).toContain("watched,bridge,,,failed 0/3");
  expect(lines).toContain("watched-veth,veth,,failed 1/3,");
  expect(lines).toContain("watched-asleep,veth,it is stopped,,");
  expect(lines).toContain("watched-lying,veth,,errored 0/3,");
  const json = JSON.parse((await check("json")).text);
  expect(json.find(({ id }: { id: string }) => id === "watched-veth")).toMatchObject({
    lab: "veth",
    results: [{ exercise: "veth/find-host-peer", status: "failed" }],
  });
  const { text } = await check("pretty");
  expect(text).toMatch(/^veth +find-host-peer$/m);
  expect(text).toMatch(/^watched-veth +✖ 1\/3$/m);
  expect(text).toMatch(/^watched-asleep +it is stopped$/m);
  expect(text).toMatch(/^watched-lying +! 0\/3$/m);
}, 180_000);

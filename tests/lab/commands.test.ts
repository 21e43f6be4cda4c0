/** The commands as an instructor types them. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const bin = (name: string) => fileURLToPath(new URL(`../../bin/${name}.mjs`, import.meta.url));
let stateDir: string;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

// A CI system's own settings may ask for colours, and are not what is tested here.
const { FORCE_COLOR: _, NO_COLOR: __, ...machine } = process.env;

function start(
  name: "patchbay" | "graders",
  args: readonly string[],
  settings: NodeJS.ProcessEnv = {},
) {
  return spawn(process.execPath, [bin(name), ...args], {
    env: { ...machine, PATCHBAY_STATE_DIR: stateDir, PATCHBAY_ENGINE: "managed", ...settings },
  });
}

function run(name: "patchbay" | "graders", args: string, input = ""): Promise<Ended> {
  const child = start(name, args.split(" "));
  child.stdin.end(input);
  return ended(child);
}

async function ended(child: ReturnType<typeof start>): Promise<Ended> {
  const [stdout, stderr, code] = await Promise.all([
    child.stdout.toArray(),
    child.stderr.toArray(),
    new Promise<number | null>((resolve) => child.on("exit", resolve)),
  ]);
  return { code, stdout: stdout.join(""), stderr: stderr.join("") };
}

beforeAll(async () => {
  stateDir = mkdtempSync(join(tmpdir(), "pb-"));
  await run("patchbay", "doctor");
}, 400_000);

afterAll(async () => {
  await run("patchbay", "lab down --all");
  rmSync(stateDir, { recursive: true, force: true });
}, 60_000);

test("doctor says what there is, for people and for programs", async () => {
  const pretty = await run("patchbay", "doctor");
  expect(pretty.code).toBe(0);
  expect(pretty.stdout).toMatch(/✔ Isolation +userns: Root in a lab is an unprivileged user/);
  const { ok, engine } = JSON.parse((await run("patchbay", "doctor --format json")).stdout);
  expect([ok, engine.isolation]).toEqual([true, "userns"]);
  const nowhere = await run("patchbay", "doctor --engine unix:///nowhere.sock");
  expect(nowhere.code).toBe(3);
  expect(nowhere.stdout).toContain("No engine answers at unix:///nowhere.sock");
});

test("colours are for terminals, and for who asks for them", async () => {
  const colour = "\u001b[";
  const listed = async (settings: NodeJS.ProcessEnv) =>
    (await ended(start("patchbay", ["doctor"], settings))).stdout.includes(colour);
  expect(await listed({ CI: "true" })).toBe(false);
  expect(await listed({ FORCE_COLOR: "1" })).toBe(true);
  expect(await listed({ FORCE_COLOR: "1", NO_COLOR: "1" })).toBe(false);
});

test("a lab comes up, is listed, and runs commands with their own streams and exit code", async () => {
  const up = await run("patchbay", "lab up iptables --name class --format json");
  expect(JSON.parse(up.stdout)).toEqual({
    id: "class",
    lab: "iptables",
    hosts: [{ name: "host1" }],
  });
  const listed = JSON.parse((await run("patchbay", "lab ls --format json")).stdout);
  expect(listed).toMatchObject([{ id: "class", state: "running" }]);
  const exec = await run("patchbay", "lab exec class --host host1 -- grep -c x", "x\nxx\ny\n");
  expect(exec).toEqual({ code: 0, stdout: "2\n", stderr: "" });
  const wrong = await run("patchbay", "lab exec class -- ls /nowhere");
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain("/nowhere");
});

test("facts prints what is in a lab, as JSON", async () => {
  const { code, stdout, stderr } = await run("patchbay", "lab facts class --host host1");
  expect([code, stderr]).toEqual([0, ""]);
  expect(JSON.parse(stdout)).toMatchObject({
    version: 1,
    lab: "class",
    hosts: [{ name: "host1", containers: [], missing: [] }],
  });
});

test("Ctrl-C ends a command on the lab host too", async () => {
  const child = start("patchbay", ["lab", "exec", "class", "--", "sleep", "4714"]);
  const count = async () =>
    (await run("patchbay", "lab exec class -- pgrep -fc ^sleep.4714")).stdout;
  await expect.poll(count, { timeout: 15_000 }).toBe("1\n");
  child.kill("SIGINT");
  expect((await ended(child)).code).toBe(130);
  expect(await count()).toBe("0\n");
});

test("check tells by its exit code: failed, passed, usage, broken", async () => {
  const failed = await run("graders", "check --lab class");
  expect(failed.code).toBe(1);
  expect(failed.stdout).toContain("✖ Container c1 runs");
  expect((await run("graders", "solve homework/inter-network-ping --lab class")).code).toBe(0);
  const json = await run("graders", "check homework/inter-network-ping --lab class --format json");
  expect(json.code).toBe(0);
  expect(JSON.parse(json.stdout)).toMatchObject([
    {
      exercise: "homework/inter-network-ping",
      status: "passed",
      checks: Array(6).fill({ status: "passed" }),
    },
  ]);
  for (const [format, start] of [
    ["tap", "TAP version 14\n1..6\nok 1 "],
    ["junit", "<?xml "],
  ]) {
    const named = `check homework/inter-network-ping --lab class --format ${format}`;
    const report = await run("graders", named);
    expect([report.code, report.stdout.startsWith(start ?? "?")]).toEqual([0, true]);
  }
  await run("patchbay", "lab exec class -- pkill -STOP -x dockerd");
  const broken = await run("graders", "check --lab class");
  await run("patchbay", "lab exec class -- pkill -CONT -x dockerd");
  expect(broken.code).toBe(3);
  expect(broken.stdout).toContain("inner-engine-timeout");
  expect(broken.stdout).not.toContain("✖");
});

test("mistakes on the command line suggest what was meant, and exit with 2", async () => {
  for (const [name, args, words] of [
    ["patchbay", "lap up iptables", 'Did you mean "lab"'],
    ["patchbay", "lab upp iptables", 'Did you mean "up"'],
    ["patchbay", "lab up iptable", 'Did you mean "iptables"'],
    ["patchbay", "lab up iptables --name class", 'There is a lab "class" already'],
    ["patchbay", "lab exec clas -- true", 'Did you mean "class"'],
    ["patchbay", "lab exec class --host host2 -- true", "Hosts: host1"],
    ["patchbay", "lab exec class true", "Put the command after --"],
    ["patchbay", "lab facts class --host host2", "Hosts: host1"],
    ["patchbay", "lab down", "Say which lab"],
    ["patchbay", "lab shell class", "A shell needs a terminal"],
    ["graders", "check homework/inter-network-pong", 'Did you mean "homework/inter-network-ping"'],
    ["graders", "check --lab class --format xml", "pretty, json, junit, tap"],
    ["graders", "check --lab klass", 'Did you mean "class"'],
    ["graders", "check --nolab", "--nolab"],
    ["graders", "solve homework/inter-network-ping --solution nftable", 'Did you mean "nftables"'],
  ] as const) {
    const { code, stdout, stderr } = await run(name, args);
    expect([args, code, stdout]).toEqual([args, 2, ""]);
    expect(stderr).toContain(words);
  }
});

test("reset and down do what they say", async () => {
  expect((await run("patchbay", "lab reset class")).code).toBe(0);
  expect(
    (await run("patchbay", "lab exec class -- docker network ls -q")).stdout.trim().split("\n"),
  ).toHaveLength(3);
  expect((await run("graders", "check")).code).toBe(1);
  expect((await run("patchbay", "lab down class")).code).toBe(0);
  const none = await run("graders", "check");
  expect([none.code, none.stderr.includes("patchbay lab up iptables")]).toEqual([2, true]);
});

test("Ctrl-C ends verify with all its jobs, and leaves no lab", async () => {
  const args = ["verify", "--jobs", "2", "veth/find-host-peer", "namespaces/create-netns"];
  const child = start("graders", args);
  const outcome = ended(child);
  const labs = async () => JSON.parse((await run("patchbay", "lab ls --format json")).stdout);
  await expect.poll(async () => (await labs()).length, { timeout: 60_000 }).toBeGreaterThan(1);
  child.kill("SIGINT");
  const { code, stderr } = await outcome;
  expect([code, stderr]).toEqual([130, expect.not.stringContaining("Error")]);
  expect(await labs()).toEqual([]);
});

test("verify proves every exercise, right answers by script and by hand, and counts", async () => {
  const { code, stdout } = await run("graders", "verify --jobs 4");
  const broken = stdout.match(/^ *✖.*(?:\n {6}.*)*/gm);
  expect(broken, broken?.join("\n")).toBeNull();
  expect(stdout).toMatch(/^exercise +held +broken +right +typed +wrong +time$/m);
  expect(stdout).toMatch(
    /\d+ right answers \(\d+ typed as well\) and 1\d\d wrong ones in .*: \d{3,} held, 0 did not\n$/,
  );
  expect(code).toBe(0);
  expect(JSON.parse((await run("patchbay", "lab ls --format json")).stdout)).toEqual([]);
}, 2_400_000);

/**
 * A class on one machine: labs cold and warm, twenty asked for at once, sixty that idle, a killed server.
 * Table on stderr, JSON on stdout.
 *
 *   node bench/class.ts [--runs 10] [--at-once 20] [--idle 60]
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openSandbox } from "../sandbox/open.ts";
import { serve } from "../src/server/serve.ts";
import { CourseClient } from "../tests/fixtures/course-client.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "10" },
    "at-once": { type: "string", default: "20" },
    idle: { type: "string", default: "60" },
  },
});
const [runs, atOnce, idle] = [values.runs, values["at-once"], values.idle].map(Number) as [
  number,
  number,
  number,
];

const rows: { readonly name: string; readonly value: number }[] = [];
const say = (name: string, value: number) => {
  const rounded = Math.round(value * 100) / 100;
  rows.push({ name, value: rounded });
  process.stderr.write(`${name.padEnd(58)} ${rounded}\n`);
};
const quantile = (numbers: readonly number[], share: number) =>
  numbers.toSorted((a, b) => a - b)[
    Math.min(numbers.length - 1, Math.floor(numbers.length * share))
  ] ?? Number.NaN;
const timed = async (work: () => Promise<unknown>) => {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
};
const spread = (name: string, numbers: readonly number[]) => {
  say(`${name}, ms: p50`, quantile(numbers, 0.5));
  say(`${name}, ms: p95`, quantile(numbers, 0.95));
};

const folder = mkdtempSync(join(os.tmpdir(), "pb-"));
mkdirSync(join(folder, "site"));
writeFileSync(join(folder, "site", "index.html"), "<!doctype html><title>Course</title>");
await using engine = await openSandbox({ engine: "managed" });
await engine.prepare();
const topology = "iptables";

const cold: number[] = [];
const warm: number[] = [];
const resets: number[] = [];
const disks: number[] = [];
await engine.keepWarm(topology, 0);
for (let run = 0; run < runs; run += 1) {
  const before = (await engine.room()).diskBytes;
  cold.push(await timed(() => engine.up({ topology, name: "bench-cold" })));
  disks.push((before - (await engine.room()).diskBytes) / 2 ** 20);
  await engine.keepWarm(topology, 1);
  warm.push(await timed(() => engine.up({ topology, name: "bench-warm" })));
  await engine.keepWarm(topology, 1);
  resets.push(await timed(() => engine.reset("bench-warm")));
  for (const id of ["bench-cold", "bench-warm"]) await engine.down(id);
}
spread("lab up, cold", cold);
spread("lab up, from a warm one", warm);
spread("reset, from a warm one", resets);
say("disk of a new lab, MiB: median", quantile(disks, 0.5));

const server = await serve({
  engine,
  host: "127.0.0.1",
  port: 0,
  siteDir: join(folder, "site"),
  stateDir: join(folder, "state"),
  settings: { maxLabs: idle + 10 },
  log: (message) => process.stderr.write(`${message}\n`),
});
const students: CourseClient[] = [];
const newStudent = async () => {
  const student = new CourseClient(() => server.url);
  await student.visit();
  students.push(student);
  return student;
};

const prompts: number[] = [];
for (let index = 0; index < atOnce; index += 1) await newStudent();
const askedMs = performance.now();
await Promise.all(
  students.map(async (student) => {
    const lab = await student.runningLab(topology, 400);
    const terminal = await student.openTerminal(lab);
    await terminal.shows("root@host1", 120_000);
    prompts.push(performance.now() - askedMs);
    terminal.close();
  }),
);
say(`${atOnce} labs at once: first prompt, ms`, Math.min(...prompts));
say(`${atOnce} labs at once: last prompt, ms`, Math.max(...prompts));

const memoryOfOne = (await engine.room()).memoryBytes;
const already = students.length;
while (students.length < idle) await (await newStudent()).runningLab(topology, 200);
await sleep(5000);
const used = memoryOfOne - (await engine.room()).memoryBytes;
say(`${idle} idle labs: memory of each, MiB`, used / (idle - already) / 2 ** 20);
const processorTimes = () => {
  const [, ...numbers] = readFileSync("/proc/stat", "utf8").split("\n")[0]?.split(/\s+/) ?? [];
  const times = numbers.map(Number);
  return { idle: (times[3] ?? 0) + (times[4] ?? 0), all: times.reduce((a, b) => a + b, 0) };
};
const before = processorTimes();
await sleep(10_000);
const after = processorTimes();
const busy = 1 - (after.idle - before.idle) / (after.all - before.all);
say(`${idle} idle labs: processors in use, of ${os.cpus().length}`, busy * os.cpus().length);
const [typist] = students;
if (typist !== undefined) {
  const terminal = await typist.openTerminal(await typist.runningLab(topology));
  await terminal.shows("root@host1");
  terminal.type("stty -echo; cat\r");
  await sleep(500);
  const echoes: number[] = [];
  for (let key = 0; key < 200; key += 1) {
    const text = `<${key}>`;
    echoes.push(
      await timed(async () => {
        terminal.type(`${text}\r`);
        await terminal.shows(text);
      }),
    );
    await sleep(10);
  }
  spread(`${idle} idle labs: echo in one of them`, echoes);
  terminal.close();
}
await server[Symbol.asyncDispose]();
for (const { id } of await engine.list()) await engine.down(id);

// A server of its own process, which can be killed.
const main = fileURLToPath(new URL("../src/server/main.ts", import.meta.url));
let url = "";
async function startServer(port: string) {
  const env = { ...process.env, PATCHBAY_STATE_DIR: join(folder, "killed") };
  const child = spawn(process.execPath, [main, "--engine", "managed", "--port", port], { env });
  let printed = "";
  child.stdout.on("data", (chunk) => {
    printed += chunk;
  });
  while (!/Patchbay is at \S+/.test(printed) && child.exitCode === null) await sleep(5);
  url = printed.match(/Patchbay is at (\S+)/)?.[1] ?? "";
  return child;
}
const returns: number[] = [];
let child = await startServer("0");
const student = new CourseClient(() => url);
await student.visit();
const lab = await student.runningLab(topology);
const { id } = await student.openTerminal(lab);
for (let run = 0; run < Math.min(runs, 5); run += 1) {
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  const startMs = performance.now();
  child = await startServer(new URL(url).port);
  const terminal = student.attach(lab, id);
  await terminal.shows("root@host1");
  terminal.type(`echo back-$((${run}+1000))\r`);
  await terminal.shows(`back-${run + 1000}`);
  returns.push(performance.now() - startMs);
  terminal.close();
}
spread("server killed, to a live shell again", returns);
child.kill("SIGTERM");
await new Promise((resolve) => child.once("exit", resolve));
for (const { id: left } of await engine.list()) await engine.down(left);
await engine.keepWarm(topology, 0);
rmSync(folder, { recursive: true, force: true });
process.stdout.write(`${JSON.stringify(rows)}\n`);

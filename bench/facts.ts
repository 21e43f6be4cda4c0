/**
 * What a look at a lab takes: its facts with 1, 10 and 50 running containers, the check of each exercise on a solved lab,
 * and `graders check` of a whole lesson as an instructor types it. Table on stderr, JSON on stdout.
 *
 *   node bench/facts.ts [--runs 40] [--only facts|checks]
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { applyAnswer } from "../graders/core/answers.ts";
import { exercises, gradeExercise } from "../graders/index.ts";
import type { Lab, SandboxEngine } from "../sandbox/index.ts";
import { openSandbox } from "../sandbox/open.ts";

const { values } = parseArgs({
  options: { runs: { type: "string", default: "40" }, only: { type: "string" } },
});
const runs = Number(values.runs);
const CHECK_RUNS = 3;
const stateDir = mkdtempSync(join(tmpdir(), "patchbay-bench-"));

const samples: Record<string, number[]> = {};
const add = (name: string, value: number) => {
  samples[name] ??= [];
  samples[name].push(value);
};
const quantile = (numbers: readonly number[], part: number) =>
  numbers.toSorted((a, b) => a - b)[
    Math.min(numbers.length - 1, Math.floor(numbers.length * part))
  ] ?? Number.NaN;

async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  const result = await work();
  add(name, performance.now() - startMs);
  return result;
}

async function run(lab: Lab, script: string): Promise<void> {
  const { exitCode, stderr } = await lab.host().capture(["bash", "-e"], { input: script });
  if (exitCode !== 0) throw new Error(stderr);
}

/** `graders check` as a command of its own, from its start to its end. */
function command(lab: string): Promise<void> {
  const file = fileURLToPath(new URL("../bin/graders.mjs", import.meta.url));
  const env = { ...process.env, PATCHBAY_STATE_DIR: stateDir, PATCHBAY_ENGINE: "managed" };
  const child = spawn(process.execPath, [file, "check", "--lab", lab], { stdio: "ignore", env });
  return new Promise((resolve) => child.on("exit", () => resolve()));
}

async function benchFacts(engine: SandboxEngine): Promise<void> {
  const lab = await engine.up({ topology: "iptables" });
  try {
    await run(lab, "docker network create one; docker network create two");
    let started = 0;
    for (const count of [1, 10, 50]) {
      const starts = [];
      for (; started < count; started += 1) {
        const where = started % 2 === 0 ? "--network one -p 80" : "--network two";
        starts.push(`docker run -d ${where} busybox sleep infinity`);
      }
      await run(lab, starts.join("\n"));
      await lab.facts();
      const name = `facts, ${count} running container${count === 1 ? "" : "s"}, ms`;
      for (let index = 0; index < runs; index += 1) {
        const { hosts } = await timed(name, () => lab.facts());
        const seen = hosts[0]?.containers?.filter(({ namespace }) => namespace !== null).length;
        if (seen !== count) throw new Error(`The facts show ${seen} running containers.`);
      }
    }
  } finally {
    await engine.down(lab.id);
  }
}

async function benchChecks(engine: SandboxEngine): Promise<void> {
  for (const [topology, ofLab] of Map.groupBy(exercises, (exercise) => exercise.lab)) {
    let lab = await engine.up({ topology });
    try {
      for (const [index, exercise] of ofLab.entries()) {
        if (index > 0) lab = await engine.reset(lab.id);
        const [solution] = exercise.solutions;
        if ((await gradeExercise(exercise, lab)).status === "skipped" || solution === undefined)
          continue;
        await applyAnswer(lab, solution);
        for (let round = 0; round < CHECK_RUNS; round += 1) {
          const { status } = await timed(`check ${exercise.id}, ms`, () =>
            gradeExercise(exercise, lab),
          );
          if (status !== "passed")
            throw new Error(`${exercise.id}: solution ${solution.name} ${status}.`);
        }
      }
      for (let round = 0; round < CHECK_RUNS; round += 1) {
        await timed(`graders check, whole lesson of lab ${topology}, ms`, () => command(lab.id));
      }
    } finally {
      await engine.down(lab.id);
    }
  }
}

await using engine = await openSandbox({ engine: "managed" });
await engine.prepare();
try {
  if (values.only !== "checks") await benchFacts(engine);
  if (values.only !== "facts") await benchChecks(engine);
} finally {
  rmSync(stateDir, { recursive: true, force: true });
}

const rows = Object.entries(samples).map(([name, numbers]) => ({
  name,
  p50: Math.round(quantile(numbers, 0.5) * 10) / 10,
  p95: Math.round(quantile(numbers, 0.95) * 10) / 10,
  runs: numbers.length,
}));
const width = Math.max(...rows.map(({ name }) => name.length));
for (const { name, p50, p95, runs: count } of rows) {
  process.stderr.write(`${name.padEnd(width)}  p50 ${p50}  p95 ${p95}  (${count} runs)\n`);
}
process.stdout.write(`${JSON.stringify(rows)}\n`);

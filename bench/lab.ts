/**
 * What an instructor waits for: a lab coming up, split by phase, beside a bare containerd and dockerd in
 * the same host; the check of the homework; memory of an idle lab. Table on stderr, JSON on stdout.
 *
 *   node bench/lab.ts [--runs 5]
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { applyAnswer } from "../graders/core/answers.ts";
import { exercises, gradeExercise } from "../graders/index.ts";
import { openSandbox } from "../sandbox/open.ts";

const { values } = parseArgs({ options: { runs: { type: "string", default: "5" } } });
const runs = Number(values.runs);
const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

const samples: Record<string, number[]> = {};
const add = (name: string, value: number) => {
  samples[name] ??= [];
  samples[name].push(value);
};

/** A second pair of daemons in the lab, with roots of their own: what no host can be quicker than. */
const BARE = `
rm -rf /var/lib/docker/bare; mkdir -p /run/bare
start=$(date +%s%N)
containerd --root /var/lib/docker/bare/c --state /run/bare/c --address /run/bare/c.sock >/dev/null 2>&1 &
dockerd --containerd /run/bare/c.sock --data-root /var/lib/docker/bare/d --exec-root /run/bare/d \\
  --pidfile /run/bare/pid --host unix:///run/bare/d.sock --bridge none --iptables=false >/dev/null 2>&1 &
until curl -sf --unix-socket /run/bare/d.sock http://x/_ping >/dev/null 2>&1; do sleep 0.01; done
echo $((($(date +%s%N) - start) / 1000000))
kill %2 && wait %2; kill %1; wait %1
`;

function command(name: string, args: readonly string[], stateDir: string): Promise<number> {
  const file = fileURLToPath(new URL(`../bin/${name}.mjs`, import.meta.url));
  const startMs = performance.now();
  const env = { ...process.env, PATCHBAY_STATE_DIR: stateDir, PATCHBAY_ENGINE: "managed" };
  const child = spawn(process.execPath, [file, ...args], { stdio: "ignore", env });
  return new Promise((resolve) => child.on("exit", () => resolve(performance.now() - startMs)));
}

const stateDir = mkdtempSync(join(tmpdir(), "patchbay-bench-"));
await using engine = await openSandbox({ engine: "managed" });
await engine.prepare();
const exercise = exercises.find(({ id }) => id === "homework/inter-network-ping");
const [solution] = exercise?.solutions ?? [];
if (exercise === undefined || solution === undefined) throw new Error("There is no exercise.");

for (let run = 0; run < runs; run += 1) {
  const marks: [string, number][] = [];
  const startMs = performance.now();
  const onProgress = ({ title }: { title: string }) => marks.push([title, performance.now()]);
  const lab = await engine.up({ topology: "iptables", onProgress });
  const endMs = performance.now();
  try {
    add("lab up, ms", endMs - startMs);
    for (const [index, [title, atMs]] of marks.entries()) {
      add(`  ${title}, ms`, (marks[index + 1]?.[1] ?? endMs) - atMs);
    }
    const memory = await lab
      .host()
      .capture(["cat", "/sys/fs/cgroup/memory/memory.stat", "/sys/fs/cgroup/memory.stat"]);
    const anonymous = memory.stdout.match(/^(?:total_rss|anon) (\d+)$/m)?.[1];
    if (anonymous !== undefined)
      add("memory of an idle lab (anonymous), MiB", Number(anonymous) / 2 ** 20);
    const bare = await lab.host().capture(["bash"], { input: BARE });
    add("bare containerd and dockerd, ms", Number(bare.stdout.trim().split("\n")[0]));
    await applyAnswer(lab, solution);
    const result = await gradeExercise(exercise, lab);
    if (result.status !== "passed")
      throw new Error(`The solution did not pass: ${JSON.stringify(result)}`);
    add("check of the homework, ms", result.durationMs);
    const args = ["check", exercise.id, "--lab", lab.id, "--format", "json"];
    add("graders check, the whole command, ms", await command("graders", args, stateDir));
    const resetMs = performance.now();
    await engine.reset(lab.id);
    add("lab reset, ms", performance.now() - resetMs);
  } finally {
    const downMs = performance.now();
    await engine.down(lab.id);
    add("lab down, ms", performance.now() - downMs);
  }
}
rmSync(stateDir, { recursive: true, force: true });

const rows = Object.entries(samples).map(([name, numbers]) => ({
  name,
  median: Math.round(median(numbers) * 10) / 10,
  min: Math.round(Math.min(...numbers) * 10) / 10,
  max: Math.round(Math.max(...numbers) * 10) / 10,
}));
const width = Math.max(...rows.map(({ name }) => name.length));
for (const { name, ...row } of rows) {
  process.stderr.write(`${name.padEnd(width)}  median ${row.median}  (${row.min} to ${row.max})\n`);
}
process.stdout.write(`${JSON.stringify(rows)}\n`);

import { parseArgs } from "node:util";
import { colorsFor, wantsColors } from "../../sandbox/cli/colors.ts";
import {
  chooseLab,
  exitCodes,
  openEngine,
  runCommandLine,
  UsageError,
  unknown,
} from "../../sandbox/cli/command-line.ts";
import { overall } from "../core/results.ts";
import { applyAnswer, verifyExercise } from "../core/verify.ts";
import { type Exercise, type ExerciseResult, entryOf, exercises, gradeExercise } from "../index.ts";
import { type ReporterName, reporters } from "../reporters/index.ts";

const usage = `
Usage: graders <command> [options]

  list [--format json]                        the exercises of the course
  check [EXERCISE…] --lab <id> [--format pretty|json|junit|tap]
                                              grade a lab; without EXERCISE: all of its lesson
  solve EXERCISE --lab <id> [--solution NAME] run a reference solution on a lab
  verify [EXERCISE…] [--jobs N]               prove exercises: solutions pass, wrong answers don't

  --lab may be left out where one lab runs.
  --engine managed|unix:///…|tcp://…          the engine that labs run on (also PATCHBAY_ENGINE)

Exit codes of check and verify: 0 all passed, 1 something failed, 2 usage, 3 a grader or the lab broke
`;

const engineOption = { engine: { type: "string" } } as const;
const labOption = { lab: { type: "string" } } as const;
const formatOption = { format: { type: "string", default: "pretty" } } as const;

function exerciseNamed(id: string): Exercise {
  const found = exercises.find((exercise) => exercise.id === id);
  if (found !== undefined) return found;
  throw unknown(
    "exercise",
    id,
    exercises.map((exercise) => exercise.id),
  );
}

async function list(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { ...engineOption, ...formatOption } });
  const entries = exercises.map(entryOf);
  if (values.format === "json") {
    process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
    return exitCodes.passed;
  }
  if (values.format !== "pretty") throw unknown("format", values.format, ["pretty", "json"]);
  const width = Math.max(...entries.map(({ exercise }) => exercise.length));
  for (const { exercise, lab, title } of entries) {
    process.stdout.write(`${exercise.padEnd(width)}  ${title} (lab ${lab})\n`);
  }
  return exitCodes.passed;
}

const exitCodeOf = (results: readonly ExerciseResult[]): number => {
  const status = overall(results.map((result) => result.status));
  if (status === "errored") return exitCodes.broken;
  return status === "failed" ? exitCodes.failed : exitCodes.passed;
};

async function check(args: string[], signal: AbortSignal): Promise<number> {
  const options = { ...engineOption, ...labOption, ...formatOption };
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (!Object.hasOwn(reporters, values.format)) {
    throw unknown("format", values.format, Object.keys(reporters));
  }
  const named = positionals.map(exerciseNamed);
  await using engine = await openEngine(values.engine);
  const lab = await chooseLab(engine, values.lab);
  for (const { id, lab: wanted } of named) {
    if (wanted === lab.lab) continue;
    throw new UsageError(
      `${id} runs in a lab "${wanted}", and "${lab.id}" is a lab "${lab.lab}". Start one: patchbay lab up ${wanted}`,
    );
  }
  const wanted = named.length > 0 ? named : exercises.filter((each) => each.lab === lab.lab);
  const results: ExerciseResult[] = [];
  for (const exercise of wanted) results.push(await gradeExercise(exercise, lab, { signal }));
  const titles = Object.fromEntries(exercises.map(({ id, title }) => [id, title]));
  const color = wantsColors(process.stdout);
  process.stdout.write(reporters[values.format as ReporterName](results, { color, titles }));
  return exitCodeOf(results);
}

async function solve(args: string[]): Promise<number> {
  const options = { ...engineOption, ...labOption, solution: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [id, ...rest] = positionals;
  if (id === undefined || rest.length > 0) throw new UsageError("Name one exercise.");
  const { solutions, lab: wanted } = exerciseNamed(id);
  const names = solutions.map(({ name }) => name);
  const solution =
    values.solution === undefined
      ? solutions[0]
      : solutions.find(({ name }) => name === values.solution);
  if (solution === undefined) throw unknown("solution", values.solution ?? "", names);
  await using engine = await openEngine(values.engine);
  const lab = await chooseLab(engine, values.lab);
  if (lab.lab !== wanted) {
    throw new UsageError(`${id} runs in a lab "${wanted}"; "${lab.id}" is a lab "${lab.lab}".`);
  }
  await applyAnswer(lab, solution);
  process.stderr.write(`Ran solution ${solution.name}: ${solution.title}.\n`);
  return exitCodes.passed;
}

async function verify(args: string[], signal: AbortSignal): Promise<number> {
  const options = { ...engineOption, jobs: { type: "string", default: "2" } } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1 || jobs > 16) {
    throw new UsageError(`--jobs ${values.jobs}: give a whole number from 1 to 16.`);
  }
  const wanted = positionals.length > 0 ? positionals.map(exerciseNamed) : exercises;
  await using engine = await openEngine(values.engine);
  const colors = colorsFor(process.stdout);
  const counts = { held: 0, broken: 0 };
  const prove = async (exercise: Exercise): Promise<string> => {
    const lines = [colors.bold(exercise.id)];
    for await (const { claim, holds, actual } of verifyExercise(exercise, engine, signal)) {
      lines.push(`  ${holds ? colors.green("✔") : colors.red("✖")} ${claim}`);
      if (actual !== undefined) lines.push(`      ${actual.replace(/\n/g, "\n      ")}`);
      counts[holds ? "held" : "broken"] += 1;
    }
    return lines.join("\n");
  };
  // Side by side in labs of their own; told in the order asked for.
  const proofs = wanted.map(() => Promise.withResolvers<string>());
  const waiting = wanted.map((exercise, index) => ({ exercise, proof: proofs[index] }));
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      await prove(next.exercise).then(next.proof?.resolve, next.proof?.reject);
    }
  };
  const workers = Array.from({ length: jobs }, worker);
  try {
    for (const { promise } of proofs) process.stdout.write(`${await promise}\n`);
  } finally {
    waiting.length = 0;
    // Labs of the others are removed before the command ends.
    for (const { promise } of proofs) promise.catch(() => undefined);
    await Promise.all(workers);
  }
  process.stdout.write(`${counts.held} held, ${counts.broken} did not\n`);
  return counts.broken === 0 ? exitCodes.passed : exitCodes.failed;
}

const commands = { list, check, solve, verify };

await runCommandLine(usage, async ([name, ...args], signal) => {
  if (name === undefined) throw new UsageError("Say which command.");
  if (!Object.hasOwn(commands, name)) throw unknown("command", name, Object.keys(commands));
  return commands[name as keyof typeof commands](args, signal);
});

import { parseArgs } from "node:util";
import { colorsFor } from "../../sandbox/cli/colors.ts";
import { exitCodes, openEngine } from "../../sandbox/cli/command-line.ts";
import { verifyExercise } from "../core/verify.ts";
import type { Exercise } from "../index.ts";
import { type Command, commonOptions, openCourse, wholeNumber } from "./command.ts";

export const verify: Command = async (args, signal) => {
  const options = { ...commonOptions, jobs: { type: "string", default: "2" } } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const jobs = wholeNumber("jobs", values.jobs, 16);
  const course = await openCourse(values.plugin);
  const wanted = positionals.length > 0 ? positionals.map(course.named) : course.exercises;
  await using engine = await openEngine(values.engine, { plugins: course.plugins });
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
};

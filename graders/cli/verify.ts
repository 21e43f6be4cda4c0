import { parseArgs } from "node:util";
import { type Colors, colorsFor } from "../../sandbox/cli/colors.ts";
import { exitCodes, openEngine, unknown } from "../../sandbox/cli/command-line.ts";
import { isDear, type Proof, type ProofKind, verifyExercise } from "../core/verify.ts";
import type { Exercise } from "../index.ts";
import { type Command, commonOptions, openCourse, wholeNumber } from "./command.ts";

/** What one exercise's proof came to. */
interface Summary {
  readonly exercise: string;
  readonly proofs: readonly Proof[];
  readonly durationMs: number;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** Answers of a kind, each once, however many claims there are on it. */
const cases = (proofs: readonly Proof[], kind: ProofKind): number =>
  new Set(
    proofs
      .filter((proof) => proof.kind === kind)
      .map(({ exercise, answer }) => `${exercise} ${answer}`),
  ).size;

function table(summaries: readonly Summary[], colors: Colors): string {
  const rows = summaries.map(({ exercise, proofs, durationMs }) => {
    const broken = proofs.filter(({ holds }) => !holds).length;
    return [
      exercise,
      String(proofs.length - broken),
      String(broken),
      ...(["right", "typed", "wrong"] as const).map((kind) => String(cases(proofs, kind))),
      seconds(durationMs),
    ];
  });
  const head = ["exercise", "held", "broken", "right", "typed", "wrong", "time"];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ");
  const painted = rows.map((row) => (row[2] === "0" ? line(row) : colors.red(line(row))));
  return [colors.bold(line(head)), ...painted].join("\n");
}

export const verify: Command = async (args, signal) => {
  const options = {
    ...commonOptions,
    jobs: { type: "string", default: "2" },
    answer: { type: "string", multiple: true },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const jobs = wholeNumber("jobs", values.jobs, 16);
  const course = await openCourse(values.plugin);
  const wanted = positionals.length > 0 ? positionals.map(course.named) : course.exercises;
  const names = wanted.flatMap(({ solutions, wrongAnswers }) =>
    [...solutions, ...wrongAnswers].map(({ name }) => name),
  );
  const stranger = values.answer?.find((name) => !names.includes(name));
  if (stranger !== undefined) throw unknown("answer", stranger, [...new Set(names)]);
  const proving = { signal, ...(values.answer && { answers: values.answer }) };
  await using engine = await openEngine(values.engine, { plugins: course.plugins });
  const colors = colorsFor(process.stdout);
  const startMs = performance.now();
  const prove = async (exercise: Exercise): Promise<Summary> => {
    const exerciseStartMs = performance.now();
    const proofs: Proof[] = [];
    for await (const proof of verifyExercise(exercise, engine, proving)) proofs.push(proof);
    const durationMs = performance.now() - exerciseStartMs;
    return { exercise: exercise.id, proofs, durationMs };
  };
  // Side by side in labs of their own; told in the order asked for.
  const proven = wanted.map(() => {
    const one = Promise.withResolvers<Summary>();
    // The loop below may still wait for another one when this one fails.
    one.promise.catch(() => undefined);
    return one;
  });
  // What takes longest begins first: else all others end before it, and a job runs on by itself.
  const waiting = wanted
    .map((exercise, index) => ({ exercise, proof: proven[index] }))
    .sort((a, b) => Number(isDear(b.exercise)) - Number(isDear(a.exercise)));
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      await prove(next.exercise).then(next.proof?.resolve, next.proof?.reject);
    }
  };
  const workers = Array.from({ length: jobs }, worker);
  const summaries: Summary[] = [];
  try {
    for (const { promise } of proven) {
      const summary = await promise;
      summaries.push(summary);
      const lines = summary.proofs.map(({ claim, holds, actual }) => {
        const mark = holds ? colors.green("✔") : colors.red("✖");
        const why = actual === undefined ? "" : `\n      ${actual.replace(/\n/g, "\n      ")}`;
        return `  ${mark} ${claim}${why}`;
      });
      process.stdout.write(`${[colors.bold(summary.exercise), ...lines].join("\n")}\n`);
    }
  } finally {
    waiting.length = 0;
    // Labs of the others are removed before the command ends.
    await Promise.all(workers);
  }
  const proofs = summaries.flatMap((summary) => summary.proofs);
  const broken = proofs.filter(({ holds }) => !holds).length;
  const [right, typed, wrong] = (["right", "typed", "wrong"] as const).map((kind) =>
    cases(proofs, kind),
  );
  process.stdout.write(
    `\n${table(summaries, colors)}\n\n${right} right answers (${typed} typed as well) and ${wrong} wrong ones in ${seconds(performance.now() - startMs)}: ${proofs.length - broken} held, ${broken} did not\n`,
  );
  return broken === 0 ? exitCodes.passed : exitCodes.failed;
};

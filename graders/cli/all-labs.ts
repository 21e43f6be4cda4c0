import { colorsFor } from "../../sandbox/cli/colors.ts";
import { exitCodes, UsageError } from "../../sandbox/cli/command-line.ts";
import { type LabSummary, type SandboxEngine, SandboxError } from "../../sandbox/index.ts";
import {
  type Exercise,
  type ExerciseResult,
  gradeExercises,
  type Language,
  resultIn,
} from "../index.ts";
import { csvOf } from "../reporters/csv.ts";
import { type Course, exitCodeOf } from "./command.ts";

/** One lab's line: what its exercises say, or why nothing can be said. */
export interface LabRow {
  readonly id: string;
  readonly lab: string;
  readonly problem?: string;
  readonly results: readonly ExerciseResult[];
}

async function rowOf(
  engine: SandboxEngine,
  { id, lab: name, state, problem }: LabSummary,
  exercises: readonly Exercise[],
  signal: AbortSignal,
): Promise<LabRow> {
  const row = { id, lab: name };
  // A student's lab that sleeps is not woken for a table.
  if (state !== "running") return { ...row, problem: problem ?? `it is ${state}`, results: [] };
  try {
    const lab = await engine.find(id);
    return { ...row, results: await gradeExercises(exercises, lab, { signal }) };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof SandboxError)) throw error;
    return { ...row, problem: error.message, results: [] };
  }
}

const counts = ({ checks }: ExerciseResult): string =>
  `${checks.filter(({ status }) => status === "passed").length}/${checks.length}`;

/** A table for each kind of lab: lines are labs, columns exercises. */
function table(rows: readonly LabRow[], exercises: readonly Exercise[]): string {
  const colors = colorsFor(process.stdout);
  const paint = {
    passed: colors.green,
    failed: colors.red,
    errored: colors.magenta,
    skipped: colors.dim,
  };
  const marks = { passed: "✔", failed: "✖", errored: "!", skipped: "–" };
  const byLab = Map.groupBy(rows, ({ lab }) => lab);
  const tables = [...byLab].map(([lab, members]) => {
    const columns = exercises.filter((exercise) => exercise.lab === lab);
    const names = columns.map(({ id }) => id.replace(/^.*\//, ""));
    const width = Math.max(lab.length, ...members.map(({ id }) => id.length));
    const head = [lab.padEnd(width), ...names].join("  ");
    const lines = members.map(({ id, problem, results }) => {
      if (problem !== undefined) return `${id.padEnd(width)}  ${colors.magenta(problem)}`;
      const cells = columns.map(({ id: exercise }, index) => {
        const result = results.find((each) => each.exercise === exercise);
        const text = result === undefined ? "" : `${marks[result.status]} ${counts(result)}`;
        const padded = text.padEnd(names[index]?.length ?? 0);
        return result === undefined ? padded : paint[result.status](padded);
      });
      return [id.padEnd(width), ...cells].join("  ").trimEnd();
    });
    return [colors.bold(head), ...lines].join("\n");
  });
  return `${tables.join("\n\n")}\n`;
}

function csv(rows: readonly LabRow[], exercises: readonly Exercise[]): string {
  const used = exercises.filter(({ lab }) => rows.some((row) => row.lab === lab));
  return csvOf([
    ["lab", "kind", "problem", ...used.map(({ id }) => id)],
    ...rows.map(({ id, lab, problem, results }) => [
      id,
      lab,
      problem ?? "",
      ...used.map(({ id: exercise }) => {
        const result = results.find((each) => each.exercise === exercise);
        return result === undefined ? "" : `${result.status} ${counts(result)}`;
      }),
    ]),
  ]);
}

/** Grades every lab there is, some at a time; one that is broken becomes a line that says so. */
export async function checkAllLabs(options: {
  readonly engine: SandboxEngine;
  readonly course: Course;
  readonly named: readonly Exercise[];
  readonly format: string;
  readonly jobs: number;
  readonly language: Language;
  readonly signal: AbortSignal;
}): Promise<number> {
  const { engine, course, named, format, jobs, language, signal } = options;
  const exercises = named.length > 0 ? named : course.exercises;
  const labs = (await engine.list()).filter(({ lab }) =>
    exercises.some((exercise) => exercise.lab === lab),
  );
  if (labs.length === 0) {
    throw new UsageError("No lab of these exercises runs. Start one: patchbay lab up iptables");
  }
  const rows: LabRow[] = new Array(labs.length);
  const waiting = [...labs.entries()];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, lab] = next;
      const fitting = exercises.filter((exercise) => exercise.lab === lab.lab);
      rows[index] = await rowOf(engine, lab, fitting, signal);
    }
  };
  await Promise.all(Array.from({ length: jobs }, worker));
  const said = (row: LabRow) => ({
    ...row,
    results: row.results.map((result) => resultIn(result, language)),
  });
  const print = {
    pretty: () => table(rows, exercises),
    json: () => `${JSON.stringify(rows.map(said), null, 2)}\n`,
    csv: () => csv(rows, exercises),
  }[format as "pretty" | "json" | "csv"];
  process.stdout.write(print());
  if (rows.some(({ problem }) => problem !== undefined)) return exitCodes.broken;
  return exitCodeOf(rows.flatMap(({ results }) => results));
}

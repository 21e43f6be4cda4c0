/** What the commands of `graders` share: options, exercises by name, labs that fit, exit codes. */
import { chosenPlugins, exitCodes, UsageError, unknown } from "../../sandbox/cli/command-line.ts";
import type { Lab, LabSummary, Plugin } from "../../sandbox/index.ts";
import { overall } from "../core/results.ts";
import {
  type Exercise,
  type ExerciseResult,
  exercisesWith,
  inLanguage,
  type Language,
  languages,
} from "../index.ts";

/** Runs with its own arguments; resolves with the exit code. */
export type Command = (args: string[], signal: AbortSignal) => Promise<number>;

export const commonOptions = {
  engine: { type: "string" },
  plugin: { type: "string", multiple: true },
} as const;
export const labOption = { lab: { type: "string" } } as const;
export const languageOption = { language: { type: "string", default: "en" } } as const;

export interface Course {
  readonly plugins: readonly Plugin[];
  readonly exercises: readonly Exercise[];
  /** Throws `UsageError`. */
  named(id: string): Exercise;
}

/** The exercises that there are. Throws `PluginError`. */
export async function openCourse(options: readonly string[] | undefined): Promise<Course> {
  const plugins = chosenPlugins(options);
  const exercises = await exercisesWith(plugins);
  return {
    plugins,
    exercises,
    named(id) {
      const found = exercises.find((exercise) => exercise.id === id);
      if (found !== undefined) return found;
      throw unknown(
        "exercise",
        id,
        exercises.map((exercise) => exercise.id),
      );
    },
  };
}

/** The exercises named, or all of the lab's lesson. Throws `UsageError` where one runs in another kind of lab. */
export function exercisesOf(
  lab: Lab | LabSummary,
  named: readonly Exercise[],
  { exercises }: Course,
): readonly Exercise[] {
  for (const { id, lab: wanted } of named) {
    if (wanted === lab.lab) continue;
    throw new UsageError(
      `${id} runs in a lab "${wanted}", and "${lab.id}" is a lab "${lab.lab}". Start one: patchbay lab up ${wanted}`,
    );
  }
  const all = named.length > 0 ? named : exercises.filter((each) => each.lab === lab.lab);
  if (all.length > 0) return all;
  throw new UsageError(`No exercise runs in a lab "${lab.lab}".`);
}

export const titlesOf = (
  { exercises }: Course,
  language: Language,
): Readonly<Record<string, string>> =>
  Object.fromEntries(exercises.map(({ id, title }) => [id, inLanguage(title, language)]));

/** The language of option `--language`. Throws `UsageError`. */
export function languageNamed(name: string): Language {
  const found = languages.find((language) => language === name);
  if (found === undefined) throw unknown("language", name, languages);
  return found;
}

export function exitCodeOf(results: readonly ExerciseResult[]): number {
  const status = overall(results.map((result) => result.status));
  if (status === "errored") return exitCodes.broken;
  return status === "failed" ? exitCodes.failed : exitCodes.passed;
}

export function wholeNumber(option: string, value: string, max: number): number {
  const number = Number(value);
  if (Number.isInteger(number) && number >= 1 && number <= max) return number;
  throw new UsageError(`--${option} ${value}: give a whole number from 1 to ${max}.`);
}

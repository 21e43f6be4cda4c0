/** What the server and the command line see of the graders. */
export type { Answer, Check, Exercise, WrongAnswer } from "./core/exercise.ts";
export {
  type CheckResult,
  type CheckStatus,
  checkIn,
  type ExerciseResult,
  resultIn,
} from "./core/results.ts";
export {
  type CheckProgress,
  type GradeOptions,
  gradeExercise,
  gradeExercises,
} from "./core/runner.ts";
export { inLanguage, type Language, languages, type Text } from "./core/text.ts";
export { LabWatch, type WatchListener } from "./core/watch.ts";
export { exercises } from "./exercises/index.ts";

import { type Plugin, withTopologies } from "../sandbox/index.ts";
import type { Exercise } from "./core/exercise.ts";
import { loadExercises } from "./core/plugins.ts";
import { inLanguage, type Language } from "./core/text.ts";
import { exercises as courseExercises } from "./exercises/index.ts";

/** The course's exercises and those of plug-ins, whose code runs for that. Throws `PluginError`. */
export const exercisesWith = (plugins: readonly Plugin[]): Promise<readonly Exercise[]> =>
  loadExercises(plugins, {
    exercises: courseExercises,
    labs: Object.keys(withTopologies(plugins)),
  });

/** An exercise as `graders list --format json` and the server's API tell it. */
export interface ExerciseEntry {
  readonly exercise: string;
  readonly lesson: string;
  readonly lab: string;
  readonly title: string;
  readonly requires: readonly string[];
}

export const entryIn =
  (language: Language) =>
  ({ id, lesson, lab, title, requires }: Exercise): ExerciseEntry => ({
    exercise: id,
    lesson,
    lab,
    title: inLanguage(title, language),
    requires,
  });

export const entryOf = entryIn("en");

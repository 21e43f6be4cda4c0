/** What the server and the command line see of the graders. */
export type { Answer, Check, Exercise, WrongAnswer } from "./core/exercise.ts";
export type { CheckResult, CheckStatus, ExerciseResult } from "./core/results.ts";
export { type GradeOptions, gradeExercise } from "./core/runner.ts";
export { exercises } from "./exercises/index.ts";

import type { Exercise } from "./core/exercise.ts";

/** An exercise as `graders list --format json` and the server's API tell it. */
export interface ExerciseEntry {
  readonly exercise: string;
  readonly lesson: string;
  readonly lab: string;
  readonly title: string;
  readonly requires: readonly string[];
}

export const entryOf = ({ id, lesson, lab, title, requires }: Exercise): ExerciseEntry => ({
  exercise: id,
  lesson,
  lab,
  title,
  requires,
});

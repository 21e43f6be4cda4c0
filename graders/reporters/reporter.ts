import type { ExerciseResult } from "../core/results.ts";
import type { Language } from "../core/text.ts";

export interface ReportOptions {
  readonly color: boolean;
  /** Of exercises, by their ids. */
  readonly titles: Readonly<Record<string, string>>;
  /** Default: English. */
  readonly language?: Language;
}

/** Turns results into text that ends with a newline. */
export type Reporter = (results: readonly ExerciseResult[], options: ReportOptions) => string;

/** The same for results in the report's own language. */
export type Format = (
  results: readonly ExerciseResult<string>[],
  options: Required<ReportOptions>,
) => string;

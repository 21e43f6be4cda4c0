import type { ExerciseResult } from "../core/results.ts";

/** Turns results into text that ends with a newline. */
export type Reporter = (
  results: readonly ExerciseResult[],
  options: { readonly color: boolean; readonly titles: Readonly<Record<string, string>> },
) => string;

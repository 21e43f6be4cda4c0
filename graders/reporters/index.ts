import type { ExerciseResult } from "../core/results.ts";
import { junit } from "./junit.ts";
import { pretty } from "./pretty.ts";
import { tap } from "./tap.ts";

/** Turns results into text that ends with a newline. */
export type Reporter = (
  results: readonly ExerciseResult[],
  options: { readonly color: boolean; readonly titles: Readonly<Record<string, string>> },
) => string;

const json: Reporter = (results) => `${JSON.stringify(results, null, 2)}\n`;

export const reporters = { pretty, json, junit, tap } satisfies Record<string, Reporter>;
export type ReporterName = keyof typeof reporters;

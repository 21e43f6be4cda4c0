import { inLanguage, type Language, type Text } from "./text.ts";

/**
 * What a run of an exercise says, in both languages where its texts have them; with strings for texts, also the JSON
 * that `graders check` prints.
 */
export type CheckStatus = "passed" | "failed" | "skipped" | "errored";

interface CheckBase<Said> {
  readonly id: string;
  readonly title: Said;
}

export type CheckResult<Said extends Text = Text> =
  | (CheckBase<Said> & { readonly status: "passed"; readonly actual?: Said })
  | (CheckBase<Said> & {
      readonly status: "failed";
      readonly expected: Said;
      readonly actual: Said;
      readonly hint?: Said;
    })
  /** Not run: `because` names the check that it builds on, or says what else kept it from running. */
  | (CheckBase<Said> & { readonly status: "skipped"; readonly because: Said })
  /** No verdict: the grader or the lab broke. */
  | (CheckBase<Said> & { readonly status: "errored"; readonly error: Said });

export interface ExerciseResult<Said extends Text = Text> {
  readonly exercise: string;
  /** `errored` where any check was; else `failed` where any did; else `skipped` where any was: nothing less than all passed is a pass. */
  readonly status: CheckStatus;
  readonly durationMs: number;
  readonly checks: readonly CheckResult<Said>[];
}

/** A result as it is shown in a language. */
export function checkIn(check: CheckResult, language: Language): CheckResult<string> {
  // What it has beside texts are strings, which are the same in every language.
  const fields: [string, Text][] = Object.entries(check);
  const said: object = Object.fromEntries(
    fields.map(([name, text]) => [name, inLanguage(text, language)]),
  );
  return said as CheckResult<string>;
}

/** The same for a whole exercise. */
export const resultIn = (result: ExerciseResult, language: Language): ExerciseResult<string> => ({
  ...result,
  checks: result.checks.map((check) => checkIn(check, language)),
});

/** The status of a whole out of those of its parts. */
export function overall(statuses: readonly CheckStatus[]): CheckStatus {
  if (statuses.includes("errored")) return "errored";
  if (statuses.includes("failed")) return "failed";
  return statuses.includes("skipped") ? "skipped" : "passed";
}

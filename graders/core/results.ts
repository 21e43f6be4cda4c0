/** What a run of an exercise says; also the JSON that `graders check` prints. */
export type CheckStatus = "passed" | "failed" | "skipped" | "errored";

interface CheckBase {
  readonly id: string;
  readonly title: string;
}

export type CheckResult =
  | (CheckBase & { readonly status: "passed"; readonly actual?: string })
  | (CheckBase & {
      readonly status: "failed";
      readonly expected: string;
      readonly actual: string;
      readonly hint?: string;
    })
  /** Not run: `because` names the check that it builds on, or says what else kept it from running. */
  | (CheckBase & { readonly status: "skipped"; readonly because: string })
  /** No verdict: the grader or the lab broke. */
  | (CheckBase & { readonly status: "errored"; readonly error: string });

export interface ExerciseResult {
  readonly exercise: string;
  /** `errored` where any check was; else `failed` where any did; else `skipped` where any was: nothing less than all passed is a pass. */
  readonly status: CheckStatus;
  readonly durationMs: number;
  readonly checks: readonly CheckResult[];
}

/** The status of a whole out of those of its parts. */
export function overall(statuses: readonly CheckStatus[]): CheckStatus {
  if (statuses.includes("errored")) return "errored";
  if (statuses.includes("failed")) return "failed";
  return statuses.includes("skipped") ? "skipped" : "passed";
}

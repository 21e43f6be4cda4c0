import { abortable } from "../../sandbox/abortable.ts";
import { type Lab, SandboxError } from "../../sandbox/index.ts";
import { collectFacts } from "../facts/collect.ts";
import type { LabModel } from "../facts/model.ts";
import type { Check, CheckContext, Exercise, Failed, Passed } from "./exercise.ts";
import { type CheckResult, type ExerciseResult, overall } from "./results.ts";

export interface GradeOptions {
  readonly signal?: AbortSignal;
  /** Told as each check ends, in the order in which they end. */
  readonly onCheck?: (result: CheckResult) => void;
}

interface Settled {
  readonly result: CheckResult;
  readonly value?: unknown;
}

const words = (error: unknown): string =>
  error instanceof SandboxError
    ? `${error.message} (${error.code})`
    : error instanceof Error
      ? `${error.name}: ${error.message}`
      : String(error);

/** Why nothing that builds on a check was run: the first check on the way that gave no ground to stand on. */
function because(missing: CheckResult): string {
  if (missing.status === "skipped") return missing.because;
  return missing.status === "errored"
    ? `“${missing.title}” could not be judged`
    : `“${missing.title}” did not pass`;
}

function described(check: Check, outcome: Passed<unknown> | Failed): CheckResult {
  const { id, title } = check;
  if (outcome.status === "failed") return { id, title, ...outcome };
  const { status, actual } = outcome;
  return actual === undefined ? { id, title, status } : { id, title, status, actual };
}

async function lackingFeatures(
  { requires }: Exercise,
  lab: Lab,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (requires.length === 0) return [];
  const features = await lab.host().hand().features({ signal });
  return requires.filter((feature) => !features.includes(feature));
}

/**
 * Runs the checks of an exercise on a lab, side by side as far as their needs allow. Changes nothing
 * in the lab that outlasts the run. Rejects only where `signal` aborts.
 */
export async function gradeExercise(
  exercise: Exercise,
  lab: Lab,
  { signal = new AbortController().signal, onCheck = () => undefined }: GradeOptions = {},
): Promise<ExerciseResult> {
  signal.throwIfAborted();
  const startMs = performance.now();
  let collected: Promise<LabModel> | undefined;
  const facts = () => {
    collected ??= collectFacts(lab, signal);
    return collected;
  };
  const running = new Map<Check, Promise<Settled>>();

  async function settle(check: Check): Promise<Settled> {
    const { id, title } = check;
    const needed = await Promise.all(check.needs.map(start));
    const missing = needed.find(({ result }) => result.status !== "passed");
    if (missing !== undefined) {
      return { result: { id, title, status: "skipped", because: because(missing.result) } };
    }
    const overdue = AbortSignal.timeout(check.timeoutMs);
    const context: CheckContext = { lab, facts, signal: AbortSignal.any([signal, overdue]) };
    try {
      const values = needed.map(({ value }) => value);
      // Started in a then, so that a throw on its first line is an error like any other.
      const run = Promise.resolve().then(() => check.run(context, values));
      const outcome = await abortable(run, context.signal);
      const value = outcome.status === "passed" ? outcome.value : undefined;
      return { result: described(check, outcome), value };
    } catch (error) {
      signal.throwIfAborted();
      const why = overdue.aborted ? `no result within ${check.timeoutMs / 1000} s` : words(error);
      return { result: { id, title, status: "errored", error: why } };
    }
  }

  function start(check: Check): Promise<Settled> {
    let settled = running.get(check);
    if (settled === undefined) {
      settled = settle(check).then((done) => {
        onCheck(done.result);
        return done;
      });
      running.set(check, settled);
    }
    return settled;
  }

  const lacking = await lackingFeatures(exercise, lab, signal);
  if (lacking.length > 0) {
    const why = `the kernel of this machine has no ${lacking.join(", no ")}`;
    const checks = exercise.checks.map(({ id, title }): CheckResult => {
      const skipped = { id, title, status: "skipped", because: why } as const;
      onCheck(skipped);
      return skipped;
    });
    const durationMs = Math.round(performance.now() - startMs);
    return { exercise: exercise.id, status: "skipped", durationMs, checks };
  }

  const checks = (await Promise.all(exercise.checks.map(start))).map(({ result }) => result);
  return {
    exercise: exercise.id,
    status: overall(checks.map(({ status }) => status)),
    durationMs: Math.round(performance.now() - startMs),
    checks,
  };
}

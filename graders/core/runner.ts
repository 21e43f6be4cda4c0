import { setTimeout as sleep } from "node:timers/promises";
import { abortable } from "../../sandbox/abortable.ts";
import type { Lab } from "../../sandbox/index.ts";
import { collectFacts } from "../facts/collect.ts";
import type { LabModel } from "../facts/model.ts";
import type { Check, CheckContext, Exercise, Failed, Passed } from "./exercise.ts";
import { faultText } from "./fault.ts";
import { type CheckResult, type ExerciseResult, overall } from "./results.ts";
import { en, inLanguage, ru, type Text } from "./text.ts";
import { visible } from "./visible.ts";

/** What a check that takes long is doing. */
export interface CheckProgress {
  readonly id: string;
  readonly text: Text;
}

export interface GradeOptions {
  readonly signal?: AbortSignal;
  /** Told as each check ends, in the order in which they end. */
  readonly onCheck?: (result: CheckResult, exercise: Exercise) => void;
  /** Told what a check waits for, never the same twice in a row. */
  readonly onProgress?: (progress: CheckProgress) => void;
  /** Of the lab, where somebody has just collected them. Default: collected when the first check asks. */
  readonly facts?: LabModel;
  /**
   * Nobody asked for this run, so checks with a `disruption` are held back; those that start containers as well, unless
   * the lab is `quiet`.
   */
  readonly watching?: "busy" | "quiet";
}

interface Settled {
  readonly result: CheckResult;
  readonly value?: unknown;
}

/** Why nothing that builds on a check was run: the first check on the way that gave no ground to stand on. */
function because(missing: CheckResult): Text {
  const { status, title } = missing;
  if (status === "skipped") return missing.because;
  return status === "errored"
    ? {
        en: en`“${title}” could not be judged`,
        ru: ru`нет вердикта по проверке «${title}»`,
      }
    : { en: en`“${title}” did not pass`, ru: ru`не пройдена проверка «${title}»` };
}

function described(check: Check, outcome: Passed<unknown> | Failed): CheckResult {
  const { id, title } = check;
  if (outcome.status === "failed") return { id, title, ...outcome };
  const { status, actual } = outcome;
  return actual === undefined ? { id, title, status } : { id, title, status, actual };
}

/** For a check that was called off, to put away what it has started. */
const CLEANUP_MS = 3000;

/** Why a check did not run that will run by itself; known by identity, never by its words. */
export const WAITS: Text = {
  en: "it starts containers, so it waits until nothing changes for a while",
  ru: "эта проверка запускает контейнеры, поэтому ждёт, пока в лаборатории всё успокоится",
};

/** Under which name a lab remembers that an edge was observed. */
const markOf = (exercise: Exercise, { id }: Check): string => `${exercise.id}#${id}`;

/** What the checks of one run share: each thing is collected when the first check asks for it. */
class Shared {
  readonly lab: Lab;
  readonly signal: AbortSignal;
  readonly watching: GradeOptions["watching"];
  #facts: Promise<LabModel> | undefined;
  #features: Promise<readonly string[]> | undefined;
  #marks: Promise<Readonly<Record<string, number>>> | undefined;

  constructor(lab: Lab, { signal, facts, watching }: GradeOptions & { signal: AbortSignal }) {
    this.lab = lab;
    this.signal = signal;
    this.watching = watching;
    this.#facts = facts && Promise.resolve(facts);
  }

  facts(): Promise<LabModel> {
    this.#facts ??= collectFacts(this.lab, this.signal);
    return this.#facts;
  }

  /** The lab may be another one by now. */
  forgetFacts(): void {
    this.#facts = undefined;
  }

  features(): Promise<readonly string[]> {
    this.#features ??= this.lab.host().hand().features({ signal: this.signal });
    return this.#features;
  }

  marks(): Promise<Readonly<Record<string, number>>> {
    this.#marks ??= this.lab.marks();
    return this.#marks;
  }
}

/** One exercise on one lab: each check runs once, after those that it needs. */
class ExerciseRun {
  readonly #exercise: Exercise;
  readonly #shared: Shared;
  readonly #onCheck: (result: CheckResult) => void;
  readonly #onProgress: GradeOptions["onProgress"];
  readonly #settled = new Map<Check, Promise<Settled>>();
  #durationMs = 0;

  constructor(
    exercise: Exercise,
    shared: Shared,
    { onCheck, onProgress }: Pick<GradeOptions, "onCheck" | "onProgress">,
  ) {
    this.#exercise = exercise;
    this.#onProgress = onProgress;
    this.#shared = shared;
    this.#onCheck = (result) => onCheck?.(result, exercise);
  }

  /** Runs checks side by side as far as their needs allow, with all that they need. */
  async run(checks: readonly Check[]): Promise<void> {
    const startMs = performance.now();
    await Promise.all(checks.map((check) => this.#start(check)));
    this.#durationMs += performance.now() - startMs;
  }

  async result(): Promise<ExerciseResult> {
    const settled = await Promise.all(this.#exercise.checks.map((check) => this.#start(check)));
    const checks = settled.map(({ result }) => result);
    return {
      exercise: this.#exercise.id,
      status: overall(checks.map(({ status }) => status)),
      durationMs: Math.round(this.#durationMs),
      checks,
    };
  }

  async passed(check: Check): Promise<boolean> {
    return (await this.#start(check)).result.status === "passed";
  }

  #start(check: Check): Promise<Settled> {
    let settled = this.#settled.get(check);
    if (settled === undefined) {
      settled = this.#settle(check).then((done) => {
        this.#onCheck(done.result);
        return done;
      });
      this.#settled.set(check, settled);
    }
    return settled;
  }

  async #settle(check: Check): Promise<Settled> {
    const { id, title, disruption } = check;
    const { signal, watching } = this.#shared;
    const skipped = (why: Text): Settled => ({
      result: { id, title, status: "skipped", because: why },
    });
    try {
      const lacking = await this.#lackingFeatures();
      if (lacking.length > 0) {
        return skipped({
          en: `the kernel of this machine has no ${lacking.join(", no ")}`,
          ru: `в ядре этой машины нет ${lacking.join(", нет ")}`,
        });
      }
      const seenAtMs = await this.#seenAt(check);
      if (seenAtMs !== undefined) {
        const when = new Date(seenAtMs).toISOString();
        const actual = { en: `seen on ${when}`, ru: `замечено ${when}` };
        return { result: { id, title, status: "passed", actual } };
      }
      const needed = await Promise.all(check.needs.map((need) => this.#start(need)));
      const missing = needed.find(({ result }) => result.status !== "passed");
      if (missing !== undefined) return skipped(because(missing.result));
      if (watching && disruption !== undefined) {
        return skipped({
          en: en`it ${disruption}, so it runs only when you ask for a check`,
          ru: ru`эта проверка ${disruption}, поэтому выполняется, только когда вы сами просите проверить`,
        });
      }
      if (watching === "busy" && check.startsContainers) return skipped(WAITS);
      return await this.#judge(
        check,
        needed.map(({ value }) => value),
      );
    } catch (error) {
      signal.throwIfAborted();
      return { result: { id, title, status: "errored", error: faultText(error) } };
    }
  }

  async #judge(check: Check, values: readonly unknown[]): Promise<Settled> {
    const { lab, signal } = this.#shared;
    const overdue = AbortSignal.timeout(check.timeoutMs);
    let said = "";
    const progress = (text: Text) => {
      const told = visible(text);
      const now = inLanguage(told, "en");
      if (now !== said) this.#onProgress?.({ id: check.id, text: told });
      said = now;
    };
    const context: CheckContext = {
      lab,
      progress,
      facts: () => this.#shared.facts(),
      signal: AbortSignal.any([signal, overdue]),
    };
    // Started in a then, so that a throw on its first line is an error like any other.
    const run = Promise.resolve().then(() => check.run(context, values));
    try {
      const outcome = await abortable(run, context.signal);
      const result = described(check, outcome);
      if (outcome.status === "failed") return { result };
      if (check.kind === "edge") await lab.mark(markOf(this.#exercise, check));
      return { result, value: outcome.value };
    } catch (error) {
      // Who calls off the run waits until what a check has started is away again.
      if (signal.aborted)
        await Promise.race([
          run.catch(() => undefined),
          sleep(CLEANUP_MS, undefined, { ref: false }),
        ]);
      if (signal.aborted || !overdue.aborted) throw error;
      const seconds = check.timeoutMs / 1000;
      const why = {
        en: `no result within ${seconds} s`,
        ru: `результата нет и через ${seconds.toLocaleString("ru")} с`,
      };
      return { result: { id: check.id, title: check.title, status: "errored", error: why } };
    }
  }

  async #lackingFeatures(): Promise<readonly string[]> {
    const { requires } = this.#exercise;
    if (requires.length === 0) return [];
    const features = await this.#shared.features();
    return requires.filter((feature) => !features.includes(feature));
  }

  /** When an edge was observed in this lab, Unix time in milliseconds. */
  async #seenAt(check: Check): Promise<number | undefined> {
    if (check.kind === "level") return undefined;
    return (await this.#shared.marks())[markOf(this.#exercise, check)];
  }
}

/** The checks that leave another lab behind than they found, and those that build on them. */
function disrupting({ checks }: Exercise): ReadonlySet<Check> {
  const found = new Set<Check>();
  const disrupts = (check: Check): boolean => {
    const does = check.disruption !== undefined || check.needs.some(disrupts);
    if (does) found.add(check);
    return does;
  };
  for (const each of checks) disrupts(each);
  return found;
}

/**
 * Runs the checks of exercises on a lab, all of them side by side as far as their needs allow, on one collection of
 * facts; then, one exercise after the other, those that disturb the lab. Changes nothing in the lab that outlasts the
 * run, but for what a check's `disruption` says. Rejects only where `signal` aborts.
 */
export async function gradeExercises(
  exercises: readonly Exercise[],
  lab: Lab,
  options: GradeOptions = {},
): Promise<readonly ExerciseResult[]> {
  const { signal = new AbortController().signal } = options;
  signal.throwIfAborted();
  const shared = new Shared(lab, { ...options, signal });
  const runs = exercises.map((exercise) => ({
    run: new ExerciseRun(exercise, shared, options),
    calm: exercise.checks.filter((check) => !disrupting(exercise).has(check)),
    rest: exercise.checks.filter((check) => disrupting(exercise).has(check)),
  }));
  await Promise.all(runs.map(({ run, calm }) => run.run(calm)));
  for (const { run, rest } of runs) {
    if (rest.length === 0) continue;
    await run.run(rest);
    shared.forgetFacts();
  }
  return Promise.all(runs.map(({ run }) => run.result()));
}

/**
 * Runs the checks of what passes by that were not passed in this lab so far, with what they need. Resolves with whether
 * one of them passes now.
 */
export async function observeEdges(
  exercises: readonly Exercise[],
  lab: Lab,
  options: { readonly facts: LabModel; readonly signal: AbortSignal },
): Promise<boolean> {
  const marks = await lab.marks();
  const shared = new Shared(lab, { ...options, watching: "busy" });
  const seen = await Promise.all(
    exercises.map(async (exercise) => {
      const edges = exercise.checks.filter(
        (check) => check.kind === "edge" && marks[markOf(exercise, check)] === undefined,
      );
      const run = new ExerciseRun(exercise, shared, {});
      await run.run(edges);
      return Promise.all(edges.map((edge) => run.passed(edge)));
    }),
  );
  return seen.flat().includes(true);
}

/** `gradeExercises` for one. */
export async function gradeExercise(
  exercise: Exercise,
  lab: Lab,
  options: GradeOptions = {},
): Promise<ExerciseResult> {
  const [result] = await gradeExercises([exercise], lab, options);
  if (result === undefined) throw new Error(`No result of ${exercise.id}.`);
  return result;
}

/** Exercises that are graded again by themselves as a lab changes. */
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { type Lab, type LabChange, SandboxError } from "../../sandbox/index.ts";
import { collectFacts } from "../facts/collect.ts";
import type { LabModel } from "../facts/model.ts";
import type { Exercise } from "./exercise.ts";
import { faultText } from "./fault.ts";
import { fingerprint } from "./fingerprint.ts";
import type { CheckResult, ExerciseResult } from "./results.ts";
import { gradeExercise, observeEdges, WAITS } from "./runner.ts";

/**
 * After a change the lab is looked at again though nothing was notified of: a program needs a while to come up. Then
 * once a minute, for what nothing ever notifies of.
 */
const SETTLING_MS = [1000, 2000, 4000, 8000] as const;
const REPOSE_MS = 60_000;
/** Between two looks at a lab that tells of changes where there are none: doubled from one to the other. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5000;
/** Nothing has changed for so long: checks that start containers may run. */
const QUIET_MS = 2000;
/** A lab that does not answer is tried again after so long; what is over by then is not told. */
const RETRY_MS = 1500;
const TELL_BROKEN_AFTER_MS = 4000;

/** Kinds of changes after which a lab is graded again though its facts are the same. */
const stirring: ReadonlySet<LabChange> = new Set(["files"]);

export type WatchListener = (result: ExerciseResult) => void;

/** Wakes whoever waits; what came meanwhile is not lost. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves with whether it rang, at the latest after `timeoutMs`. Rejects with the signal's reason. */
  async wait(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    if (!this.#rung) {
      const over = new AbortController();
      this.#wake = () => over.abort();
      await sleep(timeoutMs, undefined, { signal: AbortSignal.any([over.signal, signal]) }).catch(
        () => undefined,
      );
      this.#wake = undefined;
      signal.throwIfAborted();
    }
    const rung = this.#rung;
    this.#rung = false;
    return rung;
  }
}

/** What was seen of a lab when it was last looked at. */
interface Look {
  readonly facts: LabModel;
  readonly fingerprint: string;
}

/** What the parts of one watch tell each other. */
interface Attendance {
  look?: Look;
  /** Something has happened that facts say nothing of. */
  stirred: boolean;
  /** Nothing has happened, and it is time to look all the same. */
  recheck: boolean;
  changedAtMs: number;
  /** Ends with the checks that start containers: meanwhile a look would see those. */
  busy: Promise<unknown>;
}

const same = (a: ExerciseResult, b: ExerciseResult | undefined): boolean =>
  b !== undefined && isDeepStrictEqual({ ...a, durationMs: 0 }, { ...b, durationMs: 0 });

function broken({ id: exercise, checks }: Exercise, error: Error): ExerciseResult {
  const why = faultText(error);
  return {
    exercise,
    status: "errored",
    durationMs: 0,
    checks: checks.map(({ id, title }) => ({ id, title, status: "errored", error: why })),
  };
}

interface Followed {
  readonly exercise: Exercise;
  readonly listeners: Set<WatchListener>;
  /** What was told last. */
  told?: ExerciseResult;
  /** Fingerprint of the lab as it was graded last. */
  gradedAs?: string | undefined;
  /** A check of it is to run when the lab is quiet. */
  waiting: boolean;
  /** It ended without a verdict the last time; the lab may just have changed under it. */
  erred: boolean;
}

const isWaiting = (check: CheckResult): boolean =>
  check.status === "skipped" && check.because === WAITS;

/** Whether a result says nothing new: what waits for its verdict has the last one until then. */
function sameButWaiting(result: ExerciseResult, told: ExerciseResult | undefined): boolean {
  if (told === undefined || !result.checks.some(isWaiting)) return false;
  const checks = result.checks.map((check, index) => {
    const last = told.checks[index];
    const stands = isWaiting(check) && last !== undefined && last.status !== "skipped";
    return stands ? last : check;
  });
  return isDeepStrictEqual(checks, told.checks);
}

const startsContainers = ({ exercise, told }: Followed): boolean =>
  exercise.checks.some(
    (check) =>
      check.startsContainers &&
      told?.checks.some(({ id, status }) => id === check.id && status !== "skipped"),
  );

/**
 * Watches a lab for as long as somebody follows an exercise of it, and tells each result that differs from the last
 * one. One collection of facts and one run of checks serves all who follow. Checks with a `disruption` are held back.
 * A lab that breaks is told as `errored`, and looked for again: a reset does not end the watch.
 */
export class LabWatch {
  readonly #find: () => Promise<Lab>;
  readonly #log: (message: string) => void;
  readonly #followed = new Map<string, Followed>();
  readonly #looks = new Bell();
  readonly #grades = new Bell();
  #watching: AbortController | undefined;
  #ended: Promise<void> = Promise.resolve();

  /** `find` is asked for the lab at the start and whenever it was lost; `log` gets what is our own fault. */
  constructor(find: () => Promise<Lab>, log: (message: string) => void) {
    this.#find = find;
    this.#log = log;
  }

  /** Tells the last result at once where there is one, and each other one later. Returns how to stop. */
  follow(exercise: Exercise, listener: WatchListener): () => void {
    const known = this.#followed.get(exercise.id);
    const followed = known ?? { exercise, listeners: new Set(), waiting: false, erred: false };
    this.#followed.set(exercise.id, followed);
    followed.listeners.add(listener);
    if (followed.told !== undefined) listener(followed.told);
    if (this.#watching === undefined) {
      const watching = new AbortController();
      this.#watching = watching;
      this.#ended = this.#ended.then(() => this.#watch(watching.signal));
    }
    if (known === undefined) this.#looks.ring();
    return () => {
      followed.listeners.delete(listener);
      if (followed.listeners.size === 0) this.#followed.delete(exercise.id);
      if (this.#followed.size > 0) return;
      this.#watching?.abort();
      this.#watching = undefined;
    };
  }

  /** Resolves when nothing of it runs any more, once nobody follows. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let brokenSinceMs: number | undefined;
    while (!signal.aborted) {
      try {
        const lab = await this.#find();
        if (lab.state !== "running") {
          throw new SandboxError("lab-broken", `Lab "${lab.id}" is ${lab.state}.`);
        }
        for (const followed of this.#followed.values()) followed.gradedAs = undefined;
        await this.#attend(lab, signal, () => {
          brokenSinceMs = undefined;
        });
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof SandboxError)) this.#log(`watch: ${(error as Error).stack}`);
        brokenSinceMs ??= performance.now();
        if (performance.now() - brokenSinceMs >= TELL_BROKEN_AFTER_MS) {
          for (const followed of this.#followed.values()) {
            this.#tell(followed, broken(followed.exercise, error as Error));
          }
        }
        await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** Watches one lab until it is lost. */
  async #attend(lab: Lab, signal: AbortSignal, onLook: () => void): Promise<void> {
    const lost = new AbortController();
    const within = AbortSignal.any([signal, lost.signal]);
    const state: Attendance = {
      stirred: false,
      recheck: false,
      changedAtMs: performance.now(),
      busy: Promise.resolve(),
    };
    const parts = [
      ...lab.hosts.map(({ name }) => this.#listen(lab, name, within, state)),
      this.#look(lab, within, state, onLook),
      this.#grade(lab, within, state),
    ];
    try {
      await Promise.race(parts);
    } finally {
      lost.abort();
      await Promise.allSettled(parts);
    }
  }

  async #listen(lab: Lab, host: string, signal: AbortSignal, state: Attendance): Promise<void> {
    for await (const kinds of lab.host(host).hand().changes({ signal })) {
      // Facts say nothing of these.
      state.stirred ||= kinds.some((kind) => stirring.has(kind));
      this.#looks.ring();
    }
  }

  async #look(
    lab: Lab,
    signal: AbortSignal,
    state: Attendance,
    onLook: () => void,
  ): Promise<never> {
    let rest = 0;
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      const rung = await this.#looks.wait(SETTLING_MS[rest] ?? REPOSE_MS, signal);
      await state.busy;
      const startMs = performance.now();
      const { stirred } = state;
      state.stirred = false;
      const facts = await collectFacts(lab, signal);
      onLook();
      const look = { facts, fingerprint: fingerprint(facts.facts) };
      const changed = stirred || look.fingerprint !== state.look?.fingerprint;
      state.look = look;
      const all = [...this.#followed.values()].map(({ exercise }) => exercise);
      const edges = all.filter(({ checks }) => checks.some(({ kind }) => kind === "edge"));
      const seen = edges.length > 0 && (await observeEdges(edges, lab, { facts, signal }));
      if (changed || seen) {
        rest = 0;
        pauseMs = FIRST_PAUSE_MS;
        state.changedAtMs = performance.now();
      } else if (rung) pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      else rest += 1;
      if (stirred || seen) {
        for (const followed of this.#followed.values()) followed.gradedAs = undefined;
      }
      state.recheck ||= !rung;
      this.#grades.ring();
      await sleep(Math.max(pauseMs, performance.now() - startMs), undefined, { signal });
    }
  }

  async #grade(lab: Lab, signal: AbortSignal, state: Attendance): Promise<never> {
    for (;;) {
      const untilQuietMs = state.changedAtMs + QUIET_MS - performance.now();
      const waits = [...this.#followed.values()].some(({ waiting }) => waiting);
      const rung = await this.#grades.wait(waits ? Math.max(0, untilQuietMs) : REPOSE_MS, signal);
      const { look, recheck } = state;
      if (look === undefined) continue;
      state.recheck = false;
      const all = [...this.#followed.values()];
      if (rung) {
        const due = all.filter(
          (followed) =>
            followed.gradedAs !== look.fingerprint || (recheck && !startsContainers(followed)),
        );
        await this.#run(lab, due, look, "busy", signal);
      } else if (performance.now() >= state.changedAtMs + QUIET_MS) {
        const due = all.filter(({ waiting }) => waiting);
        const run = this.#run(lab, due, look, "quiet", signal);
        state.busy = run.catch(() => undefined);
        await run;
      }
    }
  }

  async #run(
    lab: Lab,
    due: readonly Followed[],
    { facts, fingerprint: print }: Look,
    watching: "busy" | "quiet",
    signal: AbortSignal,
  ): Promise<void> {
    for (const followed of due) {
      followed.gradedAs = print;
      followed.waiting = false;
    }
    await Promise.all(
      due.map(async (followed) => {
        const options = { facts, watching, signal };
        this.#take(followed, await gradeExercise(followed.exercise, lab, options));
      }),
    );
  }

  #take(followed: Followed, result: ExerciseResult): void {
    followed.waiting ||= result.checks.some(isWaiting);
    // A process that has just ended, a lab in the middle of something: looked at once more before it is told.
    const erred = result.status === "errored";
    if (erred && !followed.erred) {
      followed.gradedAs = undefined;
      this.#looks.ring();
    } else if (!sameButWaiting(result, followed.told)) this.#tell(followed, result);
    followed.erred = erred;
  }

  #tell(followed: Followed, result: ExerciseResult): void {
    if (same(result, followed.told)) return;
    followed.told = result;
    for (const listener of followed.listeners) listener(result);
  }
}

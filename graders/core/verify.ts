import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Lab, SandboxEngine } from "../../sandbox/index.ts";
import { applyAnswer, typeAnswer } from "./answers.ts";
import type { Answer, Exercise, WrongAnswer } from "./exercise.ts";
import { settledState, stateChanges } from "./lab-state.ts";
import { type ExerciseResult, resultIn } from "./results.ts";
import { gradeExercise } from "./runner.ts";
import { LabWatch } from "./watch.ts";

/** What a claim is about: the lab as it begins, a right answer by either way, or a wrong one. */
export type ProofKind = "start" | "right" | "typed" | "wrong";

/** One thing that an exercise claims of itself, and whether it held. */
export interface Proof {
  readonly exercise: string;
  readonly kind: ProofKind;
  /** Name of the answer; of several claims on one answer, each has it. Empty for the start state. */
  readonly answer: string;
  readonly claim: string;
  readonly holds: boolean;
  /** What was seen instead. */
  readonly actual?: string;
}

/** A watch has seen what there was to see. */
const SEEN_MS = 1500;

const told = (result: ExerciseResult): string =>
  resultIn(result, "en")
    .checks.filter((check) => check.status !== "passed")
    .map((check) => {
      const why =
        check.status === "failed"
          ? check.actual
          : check.status === "errored"
            ? check.error
            : check.because;
      return `${check.id} ${check.status}: ${why}`;
    })
    .join("; ");

const statuses = ({ checks }: ExerciseResult) => checks.map(({ id, status }) => [id, status]);

/**
 * Labs of an exercise, each in its start state: the next one is made while the last one is used. Where a lab is dear
 * to make, the exercise says what brings it back instead.
 */
class LabSupply implements AsyncDisposable {
  readonly #engine: SandboxEngine;
  readonly #exercise: Exercise;
  readonly #signal: AbortSignal;
  readonly #ended: Promise<unknown>[] = [];
  #next: Promise<Lab> | undefined;
  #used: Lab | undefined;

  constructor(engine: SandboxEngine, exercise: Exercise, signal: AbortSignal) {
    this.#engine = engine;
    this.#exercise = exercise;
    this.#signal = signal;
  }

  /** Ends the lab that was given out before, or gives it out again. */
  async take({ more }: { readonly more: boolean }): Promise<Lab> {
    const { between } = this.#exercise;
    if (between !== undefined && this.#used !== undefined) {
      const back = { name: "between", title: "Back near the start", script: between };
      await applyAnswer(this.#used, back);
      return this.#used;
    }
    this.#end();
    this.#used = await (this.#next ?? this.#make());
    this.#next = more && between === undefined ? this.#make() : undefined;
    return this.#used;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    const next = await this.#next?.catch(() => undefined);
    if (next !== undefined) this.#ended.push(this.#engine.down(next.id));
    await Promise.all(this.#ended);
  }

  #make(): Promise<Lab> {
    const made = this.#engine.up({ topology: this.#exercise.lab, signal: this.#signal });
    // Whoever takes it is told.
    made.catch(() => undefined);
    return made;
  }

  #end(): void {
    if (this.#used !== undefined) this.#ended.push(this.#engine.down(this.#used.id));
    this.#used = undefined;
  }
}

/** Applies an answer while the lab is watched, where checks look for what passes by. */
async function applyWatched(
  exercise: Exercise,
  engine: SandboxEngine,
  lab: Lab,
  apply: () => Promise<void>,
): Promise<void> {
  if (!exercise.checks.some(({ kind }) => kind === "edge")) return apply();
  const watch = new LabWatch(
    () => engine.find(lab.id),
    () => undefined,
  );
  const begun = Promise.withResolvers<void>();
  const stop = watch.follow(exercise, () => begun.resolve());
  try {
    await begun.promise;
    await apply();
    await sleep(SEEN_MS);
  } finally {
    stop();
    await watch.ended;
  }
}

/** Whether a lab of the exercise takes so long to make that one serves for all answers. */
export const isDear = ({ between }: Exercise): boolean => between !== undefined;

/**
 * Proves an exercise on labs of its own: nothing done fails; each solution passes, run as a script and typed into a
 * terminal; each wrong answer is refused by the check that it names; and grading twice says and leaves the same.
 */
export async function* verifyExercise(
  exercise: Exercise,
  engine: SandboxEngine,
  options: {
    readonly signal: AbortSignal;
    /** Names of the answers to prove; without, all of them. */
    readonly answers?: readonly string[];
  },
): AsyncGenerator<Proof> {
  const { signal, answers } = options;
  const { solutions, wrongAnswers } = exercise;
  // Where labs are dear, so is time: one solution shows that typing works, one answer of a kind that nothing is left.
  const dear = isDear(exercise);
  const typed = dear ? solutions.slice(0, 1) : solutions;
  const all: readonly { kind: ProofKind; answer: Answer | WrongAnswer }[] = [
    ...solutions.map((answer) => ({ kind: "right" as const, answer })),
    ...typed.map((answer) => ({ kind: "typed" as const, answer })),
    ...wrongAnswers.map((answer) => ({ kind: "wrong" as const, answer })),
  ];
  const cases = all.filter(({ answer }) => answers?.includes(answer.name) ?? true);
  const restarts = exercise.checks.some(({ disruption }) => disruption !== undefined);
  await using labs = new LabSupply(engine, exercise, signal);
  const proofOf =
    (kind: ProofKind, answer: string) =>
    (claim: string, holds: boolean, actual: string): Proof => ({
      ...{ exercise: exercise.id, kind, answer, claim, holds },
      ...(holds ? {} : { actual }),
    });

  const start = proofOf("start", "");
  const fresh = await labs.take({ more: cases.length > 0 });
  const untouched = await gradeExercise(exercise, fresh, { signal });
  if (untouched.status === "skipped") {
    yield start(`skipped: ${told(untouched)}`, true, "");
    return;
  }
  const fails = untouched.status === "failed";
  yield start("nothing done fails", fails, told(untouched) || "it passed");

  for (const [index, { kind, answer }] of cases.entries()) {
    signal.throwIfAborted();
    const proof = proofOf(kind, answer.name);
    const rejectedBy = "rejectedBy" in answer ? answer.rejectedBy : undefined;
    const claim =
      rejectedBy === undefined
        ? `solution ${answer.name}${kind === "typed" ? ", typed into a terminal," : ""} passes`
        : `wrong answer ${answer.name} is refused by ${rejectedBy}`;
    let lab: Lab;
    try {
      lab = await labs.take({ more: index + 1 < cases.length });
      const apply = kind === "typed" ? typeAnswer : applyAnswer;
      await applyWatched(exercise, engine, lab, () => apply(lab, answer));
    } catch (error) {
      yield proof(claim, false, (error as Error).message);
      continue;
    }
    const before = await settledState(lab, { restarts });
    const first = await gradeExercise(exercise, lab, { signal });
    const refused = first.checks.some(({ id, status }) => id === rejectedBy && status === "failed");
    const right =
      rejectedBy === undefined ? first.status === "passed" : first.status === "failed" && refused;
    yield proof(claim, right, told(first) || "it passed");
    // What was typed is in the same state as what was run: grading it twice would say nothing new.
    const oneIsEnough = dear && answer !== solutions[0] && answer !== wrongAnswers[0];
    if (kind === "typed" || oneIsEnough) continue;
    const second = await gradeExercise(exercise, lab, { signal });
    // A wrong answer that goes with the disruption which refuses it is another one afterwards, and still wrong.
    const undone = exercise.checks.some(
      ({ id, disruption }) => id === rejectedBy && disruption !== undefined,
    );
    const same = undone
      ? second.status === "failed"
      : isDeepStrictEqual(statuses(first), statuses(second));
    yield proof(`grading ${answer.name} twice says the same`, same, told(second) || "it passed");
    if (undone) continue;
    const changes = await stateChanges(lab, before, { restarts });
    yield proof(`grading ${answer.name} leaves nothing`, changes.length === 0, changes.join("\n"));
  }
}

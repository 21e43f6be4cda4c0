import type { Lab } from "../../sandbox/index.ts";
import type { LabModel } from "../facts/model.ts";
import type { Text } from "./text.ts";
import { visible } from "./visible.ts";

/** What a check works with. */
export interface CheckContext {
  readonly lab: Lab;
  /** The lab's state, collected once for all checks of a run. */
  facts(): Promise<LabModel>;
  /** Aborts when the check's time is over or the run is called off. */
  readonly signal: AbortSignal;
  /** Tells whoever follows the run what the check waits for; for checks that take longer than a few seconds. */
  progress(text: Text): void;
}

export interface Passed<Value> {
  readonly status: "passed";
  /** What checks that need this one go on with. */
  readonly value: Value;
  readonly actual?: Text;
}

export interface Failed {
  readonly status: "failed";
  readonly expected: Text;
  readonly actual: Text;
  /** Only where the actual state suggests what to look at. */
  readonly hint?: Text;
}

export function pass(): Passed<undefined>;
export function pass<Value>(value: Value, actual?: Text): Passed<Value>;
export function pass(value?: unknown, actual?: Text): Passed<unknown> {
  if (actual === undefined) return { status: "passed", value };
  return { status: "passed", value, actual: visible(actual) };
}

/** Names and texts in it may be the student's: they are made `visible` here. */
export const fail = (expected: Text, actual: Text, hint?: Text): Failed => ({
  status: "failed",
  expected: visible(expected),
  actual: visible(actual),
  ...(hint === undefined ? {} : { hint: visible(hint) }),
});

export interface Check<Value = unknown> {
  /** Unique within the exercise. */
  readonly id: string;
  /** What holds when it passes, as a sentence without a full stop. */
  readonly title: Text;
  /**
   * `level`: it passes while something holds. `edge`: once it has passed in a lab it stays passed until the lab is
   * reset, for every process that looks; see `Lab.marks`.
   */
  readonly kind: "level" | "edge";
  /**
   * What it does to the student's containers, after “it”: `restarts the blocked client`; in Russian after «эта
   * проверка». Such a check runs only where somebody asked for it, never by itself while a lab is watched.
   */
  readonly disruption?: Text;
  /**
   * It starts containers, which take addresses for a moment. While a lab is watched, such a check waits until nothing has
   * changed for a while, and runs once for each state of the lab: nobody's own containers get other addresses by it.
   */
  readonly startsContainers: boolean;
  /** Checks that must have passed before this one means anything. */
  readonly needs: readonly Check[];
  /** Default 20 000. */
  readonly timeoutMs: number;
  /** `values` are those of `needs`, in the same order. A throw is the grader's fault, never a verdict. */
  run(context: CheckContext, values: readonly unknown[]): Promise<Passed<Value> | Failed>;
}

export type Needs = Readonly<Record<string, Check>>;
export type ValuesOf<N extends Needs> = {
  readonly [Name in keyof N]: N[Name] extends Check<infer Value> ? Value : never;
};

interface Definition<Value, N extends Needs> {
  readonly id: string;
  readonly title: Text;
  readonly needs?: N;
  readonly timeoutMs?: number;
  run(
    context: CheckContext & ValuesOf<N>,
  ): Passed<Value> | Failed | Promise<Passed<Value> | Failed>;
}

type Disturbance = Partial<Pick<Check, "disruption" | "startsContainers">>;

/**
 * Defines a check of something that holds now. `needs` names other checks; `run` gets their values under the same
 * names, and is not called where one of them did not pass.
 */
export const check = <Value = undefined, N extends Needs = Record<never, never>>(
  definition: Definition<Value, N> & Disturbance,
): Check<Value> => defined("level", definition);

/**
 * Defines a check of something that passes by, such as an interface that was down for a while: once it has passed it
 * stays passed, whatever its `needs` say later, until the lab is reset. It sees what happens while the lab is watched
 * (`graders watch`, or the page), and what holds at the moment of a plain `graders check`. It hands no value on, since
 * what it saw is over.
 */
export const edge = <N extends Needs = Record<never, never>>(
  definition: Definition<undefined, N>,
): Check<undefined> => defined("edge", definition);

function defined<Value, N extends Needs>(
  kind: Check["kind"],
  definition: Definition<Value, N> & Disturbance,
): Check<Value> {
  const { id, title, needs = {}, timeoutMs = 20_000 } = definition;
  const { disruption, startsContainers = false } = definition;
  const names = Object.keys(needs);
  return {
    id,
    title,
    kind,
    timeoutMs,
    ...(disruption === undefined ? {} : { disruption }),
    startsContainers,
    needs: Object.values(needs),
    async run(context, values) {
      const byName = Object.fromEntries(names.map((name, index) => [name, values[index]]));
      return definition.run({ ...context, ...byName } as CheckContext & ValuesOf<N>);
    },
  };
}

/** A shell script that root runs on a host of the lab. */
export interface Step {
  /** Default: the lab's first host. */
  readonly host?: string;
  readonly script: string;
}

/** A way to a state of the lab. */
export interface Answer {
  readonly name: string;
  /** Why it is right, or why it is wrong: for authors, in English. */
  readonly title: string;
  /** A script for the first host, or several; each finds the output of the one before in `$PREVIOUS`. */
  readonly script: string | readonly Step[];
}

export interface WrongAnswer extends Answer {
  /** Id of the check that must fail. */
  readonly rejectedBy: string;
}

export interface Exercise {
  /** `lesson/name` or `homework/name`. */
  readonly id: string;
  readonly title: Text;
  readonly lesson: string;
  /** Topology that its lab has. */
  readonly lab: string;
  /** Kernel features that it needs beyond those of every lab. */
  readonly requires: readonly string[];
  readonly checks: readonly Check[];
  /** The first one is what `graders solve` runs by default. */
  readonly solutions: readonly Answer[];
  readonly wrongAnswers: readonly WrongAnswer[];
  /**
   * Script that brings the lab from any of its answers back near its start, for `verify`: quicker than a new lab where a
   * start takes long. What each answer sets by itself may stay.
   */
  readonly between?: string;
}

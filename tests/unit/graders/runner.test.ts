import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import {
  type Check,
  check,
  type Exercise,
  edge,
  fail,
  pass,
} from "../../../graders/core/exercise.ts";
import { type CheckResult, type ExerciseResult, resultIn } from "../../../graders/core/results.ts";
import { gradeExercise, gradeExercises, observeEdges } from "../../../graders/core/runner.ts";
import type { LabModel } from "../../../graders/facts/model.ts";
import { type Lab, SandboxError } from "../../../sandbox/index.ts";

/** These checks look at no lab. */
const lab = {} as Lab;

const exercise = (...checks: Check[]): Exercise => ({
  id: "lesson/example",
  title: "Example",
  lesson: "lesson",
  lab: "lab",
  requires: [],
  checks,
  solutions: [],
  wrongAnswers: [],
});

const told = (result: ExerciseResult) => resultIn(result, "en").checks;
const statuses = (checks: readonly CheckResult[]) => checks.map(({ id, status }) => [id, status]);

test("hands the values of passed checks on, by name", async () => {
  const a = check({ id: "a", title: "A", run: () => pass(20) });
  const b = check({ id: "b", title: "B", run: () => pass("2") });
  const sum = check({
    id: "sum",
    title: "Sum",
    needs: { a, b },
    run: (context) =>
      context.a + Number(context.b) === 22 ? pass(undefined, "22") : fail("22", "another sum"),
  });
  const result = await gradeExercise(exercise(a, b, sum), lab);
  expect(result.status).toBe("passed");
  expect(result.checks[2]).toEqual({ id: "sum", title: "Sum", status: "passed", actual: "22" });
});

test("skips what builds on a check that did not pass, and says on which", async () => {
  const root = check({ id: "root", title: "The root", run: () => fail("x", "y", "look") });
  const next = check({ id: "next", title: "Next", needs: { root }, run: () => pass() });
  const last = check({ id: "last", title: "Last", needs: { next }, run: () => pass() });
  const alone = check({ id: "alone", title: "Alone", run: () => pass() });
  const result = await gradeExercise(exercise(last, next, root, alone), lab);
  expect(result.status).toBe("failed");
  expect(statuses(result.checks)).toEqual([
    ["last", "skipped"],
    ["next", "skipped"],
    ["root", "failed"],
    ["alone", "passed"],
  ]);
  expect(told(result)[1]).toMatchObject({ because: "“The root” did not pass" });
  expect(told(result)[0]).toMatchObject({ because: "“The root” did not pass" });
  expect(result.checks[2]).toMatchObject({ expected: "x", actual: "y", hint: "look" });
});

test("takes a throw, a timeout and a lab that broke for errors, never for verdicts", async () => {
  const thrown = check({
    id: "thrown",
    title: "Thrown",
    run: () => {
      throw new TypeError("oops");
    },
  });
  const slow = check({
    id: "slow",
    title: "Slow",
    timeoutMs: 30,
    run: () => new Promise<never>(() => undefined),
  });
  const broken = check({
    id: "broken",
    title: "Broken",
    run: () => Promise.reject(new SandboxError("inner-engine-timeout", "no answer")),
  });
  const wrong = check({ id: "wrong", title: "Wrong", run: () => fail("a", "b") });
  const above = check({ id: "above", title: "Above", needs: { slow }, run: () => pass() });
  const result = await gradeExercise(exercise(thrown, slow, broken, wrong, above), lab);
  expect(result.status).toBe("errored");
  expect(told(result)).toMatchObject([
    { status: "errored", error: "TypeError: oops" },
    { status: "errored", error: "no result within 0.03 s" },
    { status: "errored", error: "no answer (inner-engine-timeout)" },
    { status: "failed" },
    { status: "skipped", because: "“Slow” could not be judged" },
  ]);
});

test("runs each check once, those without needs side by side, and tells as they end", async () => {
  let runs = 0;
  const order: string[] = [];
  const base = check({
    id: "base",
    title: "Base",
    run: () => {
      runs += 1;
      return pass(1);
    },
  });
  let others = 0;
  const meet = (id: string) =>
    check({
      id,
      title: id,
      needs: { base },
      async run() {
        others += 1;
        // Passes only where both are under way together.
        while (others < 2) await sleep(1);
        return pass();
      },
    });
  const checks = [meet("left"), meet("right"), base];
  const onCheck = ({ id }: CheckResult) => order.push(id);
  const result = await gradeExercise(exercise(...checks), lab, { onCheck });
  expect(result.status).toBe("passed");
  expect(runs).toBe(1);
  expect(order[0]).toBe("base");
  expect(order.toSorted()).toEqual(["base", "left", "right"]);
});

test("is called off by its signal", async () => {
  const controller = new AbortController();
  const endless = check({ id: "e", title: "E", run: () => new Promise<never>(() => undefined) });
  const running = gradeExercise(exercise(endless), lab, { signal: controller.signal });
  controller.abort(new Error("the student left"));
  await expect(running).rejects.toThrow("the student left");
});

test("a check of what passes by stays passed in a lab, whatever its needs say later", async () => {
  const marks: Record<string, number> = {};
  const remembering = {
    marks: async () => ({ ...marks }),
    mark: async (name: string) => {
      marks[name] ??= 1_700_000_000_000;
    },
  } as unknown as Lab;
  const state = { base: true, open: false };
  let runs = 0;
  const base = check({
    id: "base",
    title: "Base",
    run: () => (state.base ? pass() : fail("base", "no base")),
  });
  const seen = edge({
    id: "seen",
    title: "Seen",
    needs: { base },
    run: () => {
      runs += 1;
      return state.open ? pass() : fail("open", "never seen open");
    },
  });
  const one = exercise(base, seen);
  const options = {
    facts: { hosts: [] } as unknown as LabModel,
    signal: new AbortController().signal,
  };
  expect((await gradeExercise(one, remembering)).status).toBe("failed");
  expect(await observeEdges([one], remembering, options)).toBe(false);
  state.open = true;
  expect(await observeEdges([one], remembering, options)).toBe(true);
  state.open = false;
  state.base = false;
  expect(runs).toBe(3);
  expect(await observeEdges([one], remembering, options)).toBe(false);
  const result = await gradeExercise(one, remembering);
  expect(told(result)).toMatchObject([
    { id: "base", status: "failed" },
    { id: "seen", status: "passed", actual: "seen on 2023-11-14T22:13:20.000Z" },
  ]);
  expect(runs).toBe(3);
  // Another exercise's check of the same id is another one.
  const other = { ...exercise(seen), id: "lesson/other" };
  expect((await gradeExercise(other, remembering)).status).toBe("skipped");
});

test("holds back what disturbs the student while a lab is watched, and never calls that passed", async () => {
  let runs = 0;
  const count = () => {
    runs += 1;
    return pass();
  };
  const calm = check({ id: "calm", title: "Calm", run: () => pass() });
  const restarts = check({
    id: "restarts",
    title: "Restarts",
    disruption: "restarts the client",
    run: count,
  });
  const after = check({ id: "after", title: "After", needs: { restarts }, run: count });
  const starts = check({ id: "starts", title: "Starts", startsContainers: true, run: count });
  const one = exercise(calm, restarts, after, starts);
  const busy = await gradeExercise(one, lab, { watching: "busy" });
  expect([busy.status, runs]).toEqual(["skipped", 0]);
  expect(told(busy).slice(1)).toMatchObject([
    { because: "it restarts the client, so it runs only when you ask for a check" },
    { because: "it restarts the client, so it runs only when you ask for a check" },
    { because: "it starts containers, so it waits until nothing changes for a while" },
  ]);
  const quiet = await gradeExercise(one, lab, { watching: "quiet" });
  expect(statuses(quiet.checks)).toEqual([
    ["calm", "passed"],
    ["restarts", "skipped"],
    ["after", "skipped"],
    ["starts", "passed"],
  ]);
  expect((await gradeExercise(one, lab)).status).toBe("passed");
});

test("runs exercises side by side, and what disturbs the lab when all else is done, one by one", async () => {
  const order: string[] = [];
  const log = (id: string, ms: number, disruption?: string) =>
    check({
      id,
      title: id,
      ...(disruption && { disruption }),
      async run() {
        order.push(`${id} begins`);
        await sleep(ms);
        order.push(`${id} ends`);
        return pass();
      },
    });
  const first = exercise(log("a", 1, "restarts"), log("b", 20));
  const second = { ...exercise(log("c", 1, "breaks"), log("d", 20)), id: "lesson/second" };
  const results = await gradeExercises([first, second], lab);
  expect(results.map(({ exercise: id, status }) => [id, status])).toEqual([
    ["lesson/example", "passed"],
    ["lesson/second", "passed"],
  ]);
  expect(order.slice(0, 2)).toEqual(["b begins", "d begins"]);
  expect(order.slice(4)).toEqual(["a begins", "a ends", "c begins", "c ends"]);
});

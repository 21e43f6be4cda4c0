import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { type Check, check, type Exercise, fail, pass } from "../../../graders/core/exercise.ts";
import type { CheckResult } from "../../../graders/core/results.ts";
import { gradeExercise } from "../../../graders/core/runner.ts";
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
  expect(result.checks[1]).toMatchObject({ because: "“The root” did not pass" });
  expect(result.checks[0]).toMatchObject({ because: "“The root” did not pass" });
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
  expect(result.checks).toMatchObject([
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

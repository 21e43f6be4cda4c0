/** What is kept of a student's work, how it is bounded, and how it goes along as a file. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type CheckResult, type ExerciseResult, resultIn } from "../../../graders/index.ts";
import { openDatabase } from "../../../src/server/database.ts";
import { ApiError } from "../../../src/server/errors.ts";
import {
  fitted,
  ProgressStore,
  progressQuota,
  RESULT_BYTES,
} from "../../../src/server/progress.ts";
import {
  PROGRESS_FILE_BYTES,
  parseProgressFile,
  progressFile,
} from "../../../src/server/progress-file.ts";
import { SessionStore } from "../../../src/server/sessions.ts";

let folder: string;
let database: DatabaseSync;
let progress: ProgressStore;
let mine: string;
let others: string;
const logged: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pb-"));
  database = openDatabase(folder);
  const sessions = new SessionStore(database);
  mine = sessions.create().id;
  others = sessions.create().id;
  progress = new ProgressStore(database, (message) => logged.push(message));
});

afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

const exercise = "bridge/by-hand";
function result(...statuses: readonly CheckResult["status"][]): ExerciseResult {
  const checks = statuses.map((status, index): CheckResult => {
    const base = { id: `check-${index}`, title: `Check ${index}` };
    if (status === "failed") return { ...base, status, expected: "yes", actual: "no" };
    if (status === "skipped") return { ...base, status, because: "that" };
    if (status === "errored") return { ...base, status, error: "timeout" };
    return { ...base, status };
  });
  const status = (["errored", "failed"] as const).find((each) => statuses.includes(each));
  return { exercise, status: status ?? "passed", durationMs: 3, checks };
}

const refusal = (work: () => unknown): ApiError => {
  try {
    work();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("It was taken.");
};

test("keeps a pass, though a later attempt fails", () => {
  progress.record(mine, result("failed"));
  expect(progress.of(mine).exercises[exercise]).not.toHaveProperty("passedAtMs");
  progress.record(mine, result("passed"));
  const { passedAtMs } = progress.of(mine).exercises[exercise] ?? {};
  progress.record(mine, result("failed"));
  expect(progress.of(mine).exercises[exercise]).toMatchObject({
    attempts: 3,
    passedAtMs,
    last: { status: "failed" },
  });
  expect(progress.of(others)).toEqual({ lessons: {}, quizzes: {}, exercises: {} });
});

test("counts no attempt that ended without a verdict, and keeps what it said", () => {
  progress.record(mine, result("passed", "failed"));
  progress.record(mine, result("errored"));
  expect(progress.of(mine).exercises[exercise]).toMatchObject({
    attempts: 1,
    last: { status: "failed" },
  });
  expect(progress.attempts(mine, exercise).map((each) => each.result.status)).toEqual([
    "errored",
    "failed",
  ]);
  expect(progress.attempts(others, exercise)).toEqual([]);
});

test("keeps the last ten attempts of each exercise", () => {
  progress.record(mine, { ...result("passed"), exercise: "bridge/other" });
  for (let number = 0; number < 13; number += 1) {
    progress.record(mine, { ...result("failed"), durationMs: number });
  }
  const kept = progress.attempts(mine, exercise).map((each) => each.result.durationMs);
  expect(kept).toEqual([12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
  expect(progress.of(mine).exercises[exercise]?.attempts).toBe(13);
  expect(progress.attempts(mine, "bridge/other")).toHaveLength(1);
});

test("takes a watched result for an attempt only where verdicts changed, and something was done", () => {
  const seen = () => progress.of(mine).exercises[exercise]?.attempts ?? 0;
  progress.observe(mine, result("failed", "skipped"));
  expect(seen()).toBe(0);
  progress.observe(mine, result("passed", "failed"));
  expect(seen()).toBe(1);
  progress.observe(mine, { ...result("passed", "failed"), durationMs: 77 });
  progress.observe(mine, result("passed", "errored"));
  expect(seen()).toBe(1);
  progress.observe(mine, result("passed", "passed"));
  progress.observe(mine, result("passed", "passed"));
  expect(seen()).toBe(2);
  expect(progress.of(mine).exercises[exercise]?.passedAtMs).toBeGreaterThan(0);
  // Taken apart again.
  progress.observe(mine, result("failed", "skipped"));
  expect(seen()).toBe(3);
});

test("drops an attempt of a session that is gone, and no other one", () => {
  progress.record("nobody", result("passed"));
  expect(logged.splice(0)).toEqual([
    expect.stringMatching(/^attempt of nobody dropped: .*FOREIGN KEY/),
  ]);
  progress.record(mine, result("passed"));
  expect(progress.of(mine).exercises[exercise]?.attempts).toBe(1);
  expect(logged).toEqual([]);
});

test("cuts what a lab can make long, and leaves what is short", () => {
  const long = result("failed", "passed");
  const checks = [{ ...long.checks[0], actual: "я".repeat(100_000) } as CheckResult];
  const cut = fitted({ ...long, checks: [...checks, ...long.checks.slice(1)] });
  expect(Buffer.byteLength(JSON.stringify(cut))).toBeLessThanOrEqual(RESULT_BYTES);
  expect(cut.checks[0]).toMatchObject({ expected: "yes", actual: expect.stringMatching(/^я+…$/) });
  expect(fitted(long)).toEqual(long);
  const many = { ...long, checks: Array.from({ length: 40 }, () => checks[0] as CheckResult) };
  expect(Buffer.byteLength(JSON.stringify(fitted(many)))).toBeLessThanOrEqual(RESULT_BYTES);
});

test("counts the answers to a quiz, and keeps the last one", () => {
  progress.answerQuiz(mine, "bridge/arp", { answer: 2, right: false });
  expect(progress.answerQuiz(mine, "bridge/arp", { answer: [1, 3], right: true })).toMatchObject({
    answer: [1, 3],
    right: true,
    attempts: 2,
  });
});

test("reads a lesson once, and forgets it when asked", () => {
  progress.setRead(mine, "bridge", true);
  const { readAtMs } = progress.of(mine).lessons["bridge"] ?? {};
  progress.setRead(mine, "bridge", true);
  expect(progress.of(mine).lessons).toEqual({ bridge: { readAtMs } });
  progress.setRead(mine, "bridge", false);
  progress.setRead(mine, "bridge", false);
  expect(progress.of(mine).lessons).toEqual({});
});

test("stores no more for one session than its quota", () => {
  for (let number = 0; number < progressQuota.lessons; number += 1) {
    progress.setRead(mine, `lesson-${number}`, true);
  }
  expect(refusal(() => progress.setRead(mine, "one-more", true))).toMatchObject({
    status: 409,
    code: "progress-full",
  });
  progress.setRead(mine, "lesson-7", true);
  expect(Object.keys(progress.of(mine).lessons)).toHaveLength(progressQuota.lessons);
  progress.setRead(others, "one-more", true);
});

test("goes along to another session as a file, and twice changes nothing", () => {
  progress.setRead(mine, "bridge", true);
  progress.answerQuiz(mine, "bridge/arp", { answer: "yes", right: true });
  progress.record(mine, result("passed", "failed"));
  progress.record(mine, result("passed", "passed"));
  const file = progressFile(progress.of(mine));
  expect(file.name).toMatch(/^patchbay-progress-\d{4}-\d\d-\d\d\.json$/);
  expect(file.text).not.toContain(mine);
  const merge = () => progress.merge(others, parseProgressFile(file.text));
  expect(merge()).toEqual({ lessons: 1, quizzes: 1, exercises: 1 });
  expect(progress.of(others)).toEqual(progress.of(mine));
  expect(merge()).toEqual({ lessons: 0, quizzes: 0, exercises: 0 });
  expect(progress.of(others)).toEqual(progress.of(mine));
});

test("keeps what graders say in both languages, and reads what was kept or exported in English alone", () => {
  const title = { en: "There is a bridge", ru: "Есть мост" };
  const words = { en: "none", ru: "нет" };
  const [check] = result("failed").checks;
  const checks = [{ ...check, title, expected: "lab0", actual: words } as CheckResult];
  progress.record(mine, { ...result("failed"), checks });
  const stored = () => progress.of(mine).exercises[exercise]?.last as ExerciseResult;
  expect(stored().checks).toEqual(checks);
  expect(resultIn(stored(), "ru").checks).toMatchObject([{ title: "Есть мост", actual: "нет" }]);
  progress.merge(others, parseProgressFile(progressFile(progress.of(mine)).text));
  expect(progress.of(others)).toEqual(progress.of(mine));

  const older = { ...JSON.parse(progressFile(progress.of(mine)).text), version: 1 };
  older.exercises[exercise].last = result("failed");
  older.exercises[exercise].lastAtMs += 1;
  const english = parseProgressFile(JSON.stringify(older)).exercises[exercise]?.last;
  expect(resultIn(english as ExerciseResult, "ru")).toEqual(result("failed"));
});

test("merges so that neither side loses a pass", () => {
  progress.record(mine, result("passed"));
  progress.answerQuiz(mine, "bridge/arp", { answer: 1, right: true });
  const file = progressFile(progress.of(mine)).text;
  progress.record(others, result("failed"));
  progress.record(others, result("failed"));
  progress.answerQuiz(others, "bridge/arp", { answer: 2, right: false });
  progress.answerQuiz(others, "bridge/arp", { answer: 3, right: false });
  progress.merge(others, parseProgressFile(file));
  const merged = progress.of(others);
  expect(merged.exercises[exercise]?.passedAtMs).toBe(
    progress.of(mine).exercises[exercise]?.passedAtMs,
  );
  expect(merged.exercises[exercise]?.attempts).toBe(2);
  expect(merged.quizzes["bridge/arp"]).toMatchObject({ answer: 1, right: true, attempts: 2 });
  progress.merge(mine, parseProgressFile(progressFile(merged).text));
  expect(progress.of(mine).exercises[exercise]?.passedAtMs).toBe(
    merged.exercises[exercise]?.passedAtMs,
  );
});

test("an export of all that a session may store fits into an import", () => {
  const text = "\u0001".repeat(160);
  for (let number = 0; number < progressQuota.lessons; number += 1) {
    progress.setRead(mine, `${number}`.padEnd(64, "l"), true);
  }
  for (let number = 0; number < progressQuota.quizzes; number += 1) {
    const quiz = `${"l".repeat(64)}/${`${number}`.padEnd(64, "q")}`;
    progress.answerQuiz(mine, quiz, { answer: text, right: true });
  }
  const checks = result(...Array<"failed">(40).fill("failed")).checks.map(
    (check) => ({ ...check, actual: text.repeat(100) }) as CheckResult,
  );
  for (let number = 0; number < progressQuota.exercises; number += 1) {
    const id = `${"l".repeat(64)}/${`${number}`.padEnd(64, "e")}`;
    progress.record(mine, { ...result("failed"), exercise: id, checks });
  }
  const file = progressFile(progress.of(mine)).text;
  expect(Buffer.byteLength(file)).toBeLessThan(PROGRESS_FILE_BYTES);
  progress.merge(others, parseProgressFile(file));
  expect(progress.of(others)).toEqual(progress.of(mine));
});

test("takes a time of the future for now, so that the next attempt counts", () => {
  progress.record(mine, result("failed"));
  const file = JSON.parse(progressFile(progress.of(mine)).text);
  file.exercises[exercise].lastAtMs = Date.now() + 1e10;
  file.exercises[exercise].attempts = 999_999;
  progress.merge(others, parseProgressFile(JSON.stringify(file)));
  expect(progress.of(others).exercises[exercise]?.lastAtMs).toBeLessThanOrEqual(Date.now());
  progress.record(others, result("passed"));
  expect(progress.of(others).exercises[exercise]).toMatchObject({
    attempts: 1_000_000,
    last: { status: "passed" },
  });
});

test("says of a file what is wrong with it, and takes nothing of it", () => {
  progress.record(mine, result("passed"));
  const good = JSON.parse(progressFile(progress.of(mine)).text);
  const told = (file: unknown) =>
    refusal(() =>
      progress.merge(
        others,
        parseProgressFile(typeof file === "string" ? file : JSON.stringify(file)),
      ),
    ).message;
  const changed = (change: (file: typeof good) => void) => {
    const file = structuredClone(good);
    change(file);
    return told(file);
  };
  const entries = (count: number) =>
    Object.fromEntries(
      Array.from({ length: count }, (_, number) => [`l${number}`, { readAtMs: 1 }]),
    );
  const messages = [
    told("not json"),
    told([]),
    told(null),
    told({ ...good, format: "other" }),
    told({ ...good, version: 3 }),
    told({ ...good, version: "1" }),
    told({ ...good, lessons: entries(101) }),
    told({ ...good, lessons: { "../etc": { readAtMs: 1 } } }),
    told({ ...good, lessons: { ["x".repeat(100_000)]: { readAtMs: 1 } } }),
    told({ ...good, lessons: { bridge: { readAtMs: "yesterday" } } }),
    told({ ...good, lessons: { bridge: { readAtMs: -1 } } }),
    told({ ...good, lessons: { toString: { readAtMs: 1 } } }),
    told({
      ...good,
      quizzes: { "a/b": { answer: { deep: {} }, right: true, attempts: 1, atMs: 1 } },
    }),
    told({
      ...good,
      quizzes: { "a/b": { answer: "y".repeat(501), right: true, attempts: 1, atMs: 1 } },
    }),
    told({ ...good, quizzes: { "a/b": { answer: 1, right: 1, attempts: 1, atMs: 1 } } }),
    told({ ...good, quizzes: { "a/b": { answer: 1, right: true, attempts: 2 ** 53, atMs: 1 } } }),
    changed((file) => {
      file.exercises[exercise].last.status = "solved";
    }),
    changed((file) => {
      delete file.exercises[exercise].passedAtMs;
    }),
    changed((file) => {
      file.exercises["bridge/other"] = file.exercises[exercise];
    }),
    changed((file) => {
      file.exercises[exercise].last.checks[0].title = "t".repeat(5000);
    }),
    changed((file) => {
      file.exercises[exercise].last.checks[0].title = { en: "A bridge" };
    }),
    changed((file) => {
      const [check] = file.exercises[exercise].last.checks;
      file.exercises[exercise].last.checks = Array(101).fill(check);
    }),
  ];
  expect(messages).toMatchInlineSnapshot(`
    [
      "The file is no JSON.",
      "The file can't be read: the file: Invalid input: expected object, received array.",
      "The file can't be read: the file: Invalid input: expected object, received null.",
      "The file can't be read: format: this is no progress of Patchbay.",
      "The file was written by a newer Patchbay (version 3; this one reads up to 2).",
      "The file can't be read: version: this Patchbay reads versions 1 and 2.",
      "The file has more than 100 lessons.",
      "The file can't be read: lessons.../etc: no lesson's name.",
      "The file can't be read: lessons.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: no lesson's name.",
      "The file can't be read: lessons.bridge.readAtMs: Invalid input: expected number, received string.",
      "The file can't be read: lessons.bridge.readAtMs: Too small: expected number to be >=0.",
      "The file can't be read: lessons.toString: no lesson's name.",
      "The file can't be read: quizzes.a/b.answer: Invalid input.",
      "The file can't be read: quizzes.a/b.answer: Too big: expected string to have <=500 characters.",
      "The file can't be read: quizzes.a/b.right: Invalid input: expected boolean, received number.",
      "The file can't be read: quizzes.a/b.attempts: Too big: expected int to be <=9007199254740991; quizzes.a/b.attempts: Too big: expected number to be <=1000000.",
      "The file can't be read: exercises.bridge/by-hand.last.status: Invalid option: expected one of "passed"|"failed"|"skipped"|"errored".",
      "The file can't be read: exercises.bridge/by-hand: an exercise that passed has a time when it did.",
      "The file has a result of bridge/by-hand under bridge/other.",
      "The file can't be read: exercises.bridge/by-hand.last.checks.0.title: Too big: expected string to have <=2001 characters.",
      "The file can't be read: exercises.bridge/by-hand.last.checks.0.title: Invalid input.",
      "The file can't be read: exercises.bridge/by-hand.last.checks: Too big: expected array to have <=100 items.",
    ]
  `);
  for (const message of messages) expect(message.length).toBeLessThan(600);
  expect(progress.of(others)).toEqual({ lessons: {}, quizzes: {}, exercises: {} });
});

test("a hostile file neither exhausts the stack nor reaches a prototype", () => {
  const deep = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
  const empty = `"format":"patchbay-progress","version":1,"lessons":{},"exercises":{}`;
  const quiz = (answer: string) =>
    `{${empty},"quizzes":{"a/b":{"answer":${answer},"right":true,"attempts":1,"atMs":1}}}`;
  expect(refusal(() => parseProgressFile(quiz(deep))).code).toBe("progress-invalid");
  expect(refusal(() => parseProgressFile(deep)).code).toBe("progress-invalid");
  const objects = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
  expect(refusal(() => parseProgressFile(quiz(objects))).code).toBe("progress-invalid");
  const polluting = `{"__proto__":{"lessons":{"x":1}},${empty},"quizzes":{"__proto__":{"polluted":1}}}`;
  expect(parseProgressFile(polluting)).toEqual({ lessons: {}, quizzes: {}, exercises: {} });
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  progress.merge(
    mine,
    parseProgressFile(
      `{${empty.replace('"lessons":{}', '"lessons":{"constructor":{"readAtMs":1}}')},"quizzes":{}}`,
    ),
  );
  expect(Object.keys(progress.of(mine).lessons)).toEqual(["constructor"]);
});

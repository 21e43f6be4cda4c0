/** What students have done, over HTTP: who may see and change it, and what outlives what. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CourseClient } from "../fixtures/course-client.ts";
import { CourseServer } from "../fixtures/course-server.ts";

let server: CourseServer;
let student: CourseClient;
let other: CourseClient;
const exercise = "homework/inter-network-ping";

beforeAll(async () => {
  server = await CourseServer.start();
  student = await server.student();
  other = await server.student();
}, 400_000);

afterAll(() => server?.[Symbol.asyncDispose](), 60_000);

test("writes down what a student read and answered, for that student alone", async () => {
  const empty = { lessons: {}, quizzes: {}, exercises: {} };
  expect(await student.ask("GET", "/api/progress")).toEqual({ status: 200, body: empty });
  const read = await student.ask("PUT", "/api/progress/lessons/bridge", { read: true });
  expect(read).toEqual({ status: 204, body: undefined });
  const answered = { answer: [0, 2], right: false };
  expect(await student.ask("PUT", "/api/progress/quizzes/bridge/arp", answered)).toEqual({
    status: 200,
    body: { ...answered, attempts: 1, atMs: expect.any(Number) },
  });
  expect((await student.ask("GET", "/api/progress")).body).toEqual({
    lessons: { bridge: { readAtMs: expect.any(Number) } },
    quizzes: { "bridge/arp": { ...answered, attempts: 1, atMs: expect.any(Number) } },
    exercises: {},
  });
  expect((await other.ask("GET", "/api/progress")).body).toEqual(empty);
});

test("takes down each check that ended, and keeps it over a restart of the server", async () => {
  const lab = await student.runningLab();
  const { body } = await student.ask("POST", `/api/labs/${lab}/checks`, { exercise });
  expect(body.result.status).toBe("failed");
  const stored = async () => (await student.ask("GET", "/api/progress")).body.exercises;
  const expected = { attempts: 1, lastAtMs: expect.any(Number), last: body.result };
  expect(await stored()).toEqual({ [exercise]: expected });
  // A check that the page left has not ended.
  const leaving = new AbortController();
  const headers = { cookie: student.cookie, origin: new URL(server.url).origin };
  const left = fetch(new URL(`/api/labs/${lab}/checks`, server.url), {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ exercise }),
    signal: leaving.signal,
  });
  await left;
  leaving.abort();
  await server.restart();
  expect(await stored()).toEqual({ [exercise]: expected });
  expect((await student.ask("GET", `/api/progress/attempts/${exercise}`)).body).toEqual([
    { atMs: expect.any(Number), result: body.result },
  ]);
  expect((await other.ask("GET", `/api/progress/attempts/${exercise}`)).body).toEqual([]);
});

test("goes along to another browser as a file", async () => {
  const response = await student.fetch("GET", "/api/progress/export");
  expect(response.headers.get("content-disposition")).toMatch(
    /^attachment; filename="patchbay-progress-\d{4}-\d\d-\d\d\.json"$/,
  );
  const file = await response.text();
  expect(file).not.toContain(student.cookie.split("=")[1]);
  const before = (await student.ask("GET", "/api/progress")).body;
  expect(await other.ask("POST", "/api/progress/import", file)).toEqual({
    status: 200,
    body: { lessons: 1, quizzes: 1, exercises: 1 },
  });
  expect((await other.ask("GET", "/api/progress")).body).toEqual(before);
  const none = { lessons: 0, quizzes: 0, exercises: 0 };
  expect((await other.ask("POST", "/api/progress/import", file)).body).toEqual(none);
});

test("refuses what is no answer, no lesson, no file, or too big", async () => {
  const refused = async (method: string, path: string, body: object | string) => {
    const answer = await student.ask(method, path, body);
    return [answer.status, answer.body.error.code];
  };
  const read = { read: true };
  expect(await refused("PUT", "/api/progress/lessons/..%2f..%2fetc", read)).toEqual([
    404,
    "not-found",
  ]);
  expect(await refused("PUT", "/api/progress/lessons/__proto__", read)).toEqual([404, "not-found"]);
  expect(await refused("PUT", `/api/progress/lessons/${"x".repeat(65)}`, read)).toEqual([
    404,
    "not-found",
  ]);
  const invalid = [400, "body-invalid"];
  expect(await refused("PUT", "/api/progress/lessons/veth", { read: 1 })).toEqual(invalid);
  const quiz = "/api/progress/quizzes/veth/one";
  expect(await refused("PUT", quiz, { answer: { a: 1 }, right: true })).toEqual(invalid);
  expect(await refused("PUT", quiz, { answer: "x".repeat(600), right: true })).toEqual(invalid);
  expect(await refused("PUT", quiz, { right: true })).toEqual(invalid);
  const big = [413, "body-too-big"];
  expect(await refused("PUT", quiz, { answer: "x".repeat(20_000), right: true })).toEqual(big);
  const file = "/api/progress/import";
  expect(await refused("POST", file, "[]")).toEqual([400, "progress-invalid"]);
  expect(await refused("POST", file, "x".repeat(2_700_000))).toEqual(big);
  const text = { "content-type": "text/plain" };
  expect((await student.ask("PUT", quiz, "{}", text)).status).toBe(415);
  // Each of them took some of the student's share.
  const asked = Array.from({ length: 8 }, () => student.ask("POST", file, "[]"));
  expect((await Promise.all(asked)).map(({ status }) => status)).toContain(429);
});

test("changes nothing for other sites, and nothing without a session", async () => {
  const evil = { origin: "http://evil.example" };
  const nobody = { cookie: "" };
  for (const [method, path, body] of [
    ["PUT", "/api/progress/lessons/veth", { read: true }],
    ["PUT", "/api/progress/quizzes/veth/one", { answer: 1, right: true }],
    ["POST", "/api/progress/import", {}],
  ] as const) {
    expect((await student.ask(method, path, body, evil)).status).toBe(403);
    expect((await student.ask(method, path, body, nobody)).status).toBe(401);
  }
  for (const path of ["/api/progress", "/api/progress/export", `/api/progress/attempts/a/b`]) {
    expect((await student.ask("GET", path, undefined, nobody)).status).toBe(401);
  }
  expect((await student.ask("GET", "/api/progress")).body.lessons).not.toHaveProperty("veth");
});

test("says that another process holds the database, goes on, and loses no attempt", async () => {
  const lab = await student.runningLab();
  const holder = new DatabaseSync(join(server.stateDir, "patchbay.db"));
  holder.exec("BEGIN IMMEDIATE");
  const busy = await student.ask("PUT", "/api/progress/lessons/veth", { read: true });
  expect(busy).toMatchObject({
    status: 503,
    body: { error: { code: "storage-busy", fix: expect.stringMatching(/Try again/) } },
  });
  const check = await student.ask("POST", `/api/labs/${lab}/checks`, { exercise });
  expect(check.body.result.status).toBe("failed");
  const attempts = async () =>
    (await student.ask("GET", "/api/progress")).body.exercises[exercise].attempts;
  expect(await attempts()).toBe(1);
  // Who has no session yet reads the page all the same.
  expect((await fetch(server.url)).status).toBe(200);
  holder.exec("ROLLBACK");
  holder.close();
  await server.running.tidy();
  expect(await attempts()).toBe(2);
  expect(server.logged.filter((line) => line.includes("not stored yet: 1"))).toHaveLength(1);
});

/** Which session a request has, and what another page can do about it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDatabase } from "../../../src/server/database.ts";
import { SessionCookie } from "../../../src/server/session-cookie.ts";
import { SessionStore } from "../../../src/server/sessions.ts";

let folder: string;
let database: DatabaseSync;
let sessions: SessionStore;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pb-"));
  database = openDatabase(folder);
  sessions = new SessionStore(database);
});

afterAll(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

test("knows a session by its cookie alone, whatever else the browser sends", () => {
  const cookie = new SessionCookie(sessions, false);
  const { id, token } = sessions.create();
  for (const header of [
    `patchbay_session=${token}`,
    `a=b; patchbay_session=${token};c`,
    `patchbay_session=nobody; patchbay_session=${token}; patchbay_session=${token}`,
  ]) {
    expect(cookie.sessionOf(header)).toEqual({ id, token });
  }
  for (const header of [undefined, "", "patchbay_session=", `patchbay_session=${id}`, token]) {
    expect(cookie.sessionOf(header)).toBeUndefined();
  }
});

test("refuses a request with two sessions, and removes the one that is not the course's own", () => {
  const cookie = new SessionCookie(sessions, false);
  const [mine, theirs] = [sessions.create(), sessions.create()];
  const header = `patchbay_session=${theirs.token}; patchbay_session=${mine.token}`;
  expect(() => cookie.sessionOf(header)).toThrow(
    expect.objectContaining({ status: 400, code: "session-ambiguous" }),
  );
  const places = (path: string, hostname: string) =>
    cookie.removals(path, hostname).map((each) => each.split("; ").slice(2).join("; "));
  expect(places("/api/labs/x;y", "192.168.1.5")).toEqual([
    "Path=/api",
    "Path=/api/",
    "Path=/api/labs",
    "Path=/api/labs/",
  ]);
  expect(places("/api", "course.example.org")).toContain("Path=/; Domain=example.org");
  // Ours has no domain and the path `/`.
  for (const place of places("/api/labs", "course.example.org")) expect(place).not.toBe("Path=/");
});

test("by https, has a name that no page under another port can set", () => {
  const cookie = new SessionCookie(sessions, true);
  const { id, token } = sessions.create();
  expect(cookie.header(token)).toBe(
    `__Host-patchbay_session=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=34560000; Secure`,
  );
  expect(cookie.sessionOf(`__Host-patchbay_session=${token}`)?.id).toBe(id);
  expect(cookie.sessionOf(`patchbay_session=${token}`)).toBeUndefined();
});

/** The course's database: old ones, newer ones, broken ones, and a disk that is full. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDatabase, storageErrorOf } from "../../../src/server/database.ts";
import { ProgressStore } from "../../../src/server/progress.ts";
import { SessionStore } from "../../../src/server/sessions.ts";

let folder: string;
const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const passed = {
  exercise: "iptables/publish-ports",
  status: "passed" as const,
  durationMs: 5,
  checks: [{ id: "web", title: "web answers", status: "passed" as const }],
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pb-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Tokens of the sessions that the old databases were made with, by their own version of Patchbay. */
const old = [
  ["database-v1.db", "zza8-nAY34X0XUIZuNwTLWuQZjK11T0W5JchCJHtfGo"],
  ["database-v2.db", "MKYe-jjwpZzMJG_E20RUP0PKNCGZiGFz8bom1nGXYM8"],
] as const;

test.each(old)("brings %s to this version, with its sessions and labs", (name, token) => {
  copyFileSync(fixture(name), join(folder, "patchbay.db"));
  for (const _twice of [1, 2]) {
    const database = openDatabase(folder);
    const sessions = new SessionStore(database);
    const id = sessions.find(token) ?? "";
    expect(id).not.toBe("");
    expect(sessions.labOf(id, "iptables")).toBe("iptables-0a1b2c3d");
    expect(sessions.labs()).toHaveLength(3);
    const progress = new ProgressStore(database, () => undefined);
    progress.setRead(id, "iptables", true);
    progress.record(id, passed);
    expect(progress.of(id)).toMatchObject({
      lessons: { iptables: { readAtMs: expect.any(Number) } },
      exercises: { "iptables/publish-ports": { last: passed } },
    });
    database.close();
  }
});

test("gives the labs of an old database their whole time before they are removed", () => {
  copyFileSync(fixture("database-v1.db"), join(folder, "patchbay.db"));
  const before = Date.now() - 1000;
  const database = openDatabase(folder);
  const labs = new SessionStore(database).labs();
  for (const { lastUsedAtMs } of labs) expect(lastUsedAtMs).toBeGreaterThanOrEqual(before - 1000);
  new SessionStore(database).prune();
  expect(database.prepare("SELECT count(*) AS n FROM sessions").get()?.["n"]).toBe(2);
  database.close();
});

test("leaves the database of a newer version as it is", () => {
  const file = join(folder, "patchbay.db");
  const newer = new DatabaseSync(file);
  newer.exec("CREATE TABLE sessions (id TEXT, mood TEXT) STRICT; PRAGMA user_version = 99");
  newer.close();
  expect(() => openDatabase(folder)).toThrow(
    expect.objectContaining({
      code: "storage-newer",
      message: expect.stringMatching(/written by a newer Patchbay \(99; this one knows \d+\)/),
    }),
  );
  const again = new DatabaseSync(file);
  expect(again.prepare("PRAGMA user_version").get()?.["user_version"]).toBe(99);
  expect(again.prepare("SELECT name FROM sqlite_schema").all()).toHaveLength(1);
  again.close();
});

test("says of a file that is no database what it is and what to do", () => {
  writeFileSync(join(folder, "patchbay.db"), "This is a text, and it is long enough. ".repeat(200));
  expect(() => openDatabase(folder)).toThrow(
    expect.objectContaining({
      code: "storage-damaged",
      fix: expect.stringContaining("move it away"),
    }),
  );
});

test("takes no half of a migration", () => {
  copyFileSync(fixture("database-v2.db"), join(folder, "patchbay.db"));
  const spoilt = new DatabaseSync(join(folder, "patchbay.db"));
  // A table of the third version stands in the way of its own making.
  spoilt.exec("CREATE TABLE attempts (mine TEXT) STRICT");
  spoilt.close();
  expect(() => openDatabase(folder)).toThrow(/attempts already exists/);
  const left = new DatabaseSync(join(folder, "patchbay.db"));
  expect(left.prepare("PRAGMA user_version").get()?.["user_version"]).toBe(2);
  expect(left.prepare("SELECT name FROM sqlite_schema WHERE name = 'lessons'").all()).toEqual([]);
  left.close();
});

test("waits only briefly for a database that another process holds, and stores attempts later", () => {
  const logged: string[] = [];
  const database = openDatabase(folder);
  const { id } = new SessionStore(database).create();
  const progress = new ProgressStore(database, (message) => logged.push(message));
  const other = new DatabaseSync(join(folder, "patchbay.db"));
  other.exec("BEGIN IMMEDIATE");
  let caught: unknown;
  try {
    progress.setRead(id, "iptables", true);
  } catch (error) {
    caught = error;
  }
  expect(storageErrorOf(caught)).toMatchObject({ code: "storage-busy", fix: /Try again/ });
  progress.record(id, passed);
  // What is stored can be read all the while.
  expect(progress.of(id).exercises).toEqual({});
  expect(logged).toEqual([
    "attempts not stored yet: 1: Another process holds the course's database. Try again in a moment.",
  ]);
  other.exec("ROLLBACK");
  other.close();
  progress.flush();
  expect(progress.of(id).exercises).toMatchObject({ [passed.exercise]: { attempts: 1 } });
  progress.flush();
  expect(progress.attempts(id, passed.exercise)).toHaveLength(1);
  database.close();
});

test.skipIf(process.getuid?.() !== 0)("loses nothing when the disk is full", () => {
  const disk = join(folder, "disk");
  mkdirSync(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
  try {
    const database = openDatabase(disk);
    const { id } = new SessionStore(database).create();
    const progress = new ProgressStore(database, () => undefined);
    progress.setRead(id, "veth", true);
    progress.record(id, passed);
    const rest = Number(
      execFileSync("df", ["--output=avail", "-B1", disk], { encoding: "utf8" }).split("\n")[1],
    );
    writeFileSync(join(disk, "filler"), Buffer.alloc(rest));
    let caught: unknown;
    try {
      // More than the pages that the log of the database has already.
      for (let number = 0; number < 90; number += 1) progress.setRead(id, `lesson-${number}`, true);
      for (let number = 0; number < 300; number += 1) {
        progress.answerQuiz(id, `veth/q${number}`, { answer: "x".repeat(400), right: true });
      }
    } catch (error) {
      caught = error;
    }
    expect(storageErrorOf(caught)).toMatchObject({ code: "storage-full" });
    progress.record(id, { ...passed, exercise: "veth/find-host-peer" });
    expect(progress.of(id).exercises).toMatchObject({ [passed.exercise]: { attempts: 1 } });
    rmSync(join(disk, "filler"));
    progress.flush();
    expect(Object.keys(progress.of(id).exercises)).toEqual([
      "iptables/publish-ports",
      "veth/find-host-peer",
    ]);
    expect(progress.of(id).lessons["veth"]).toBeDefined();
    database.close();
    const again = openDatabase(disk);
    expect(again.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    again.close();
  } finally {
    execFileSync("umount", [disk]);
  }
});

test("forgets sessions that nobody came back with and that hold nothing, and no others", () => {
  const database = openDatabase(folder);
  const sessions = new SessionStore(database);
  const progress = new ProgressStore(database, () => undefined);
  const [empty, reader, owner, fresh] = [1, 2, 3, 4].map(() => sessions.create());
  progress.setRead(reader?.id ?? "", "veth", true);
  sessions.addLab(owner?.id ?? "", "iptables", "iptables-1");
  const threeDays = 3 * 24 * 3_600_000;
  for (const each of [empty, reader, owner]) {
    database
      .prepare("UPDATE sessions SET seen_at_ms = seen_at_ms - ? WHERE id = ?")
      .run(threeDays, each?.id ?? "");
  }
  sessions.prune();
  const known = [empty, reader, owner, fresh].map(
    (each) => sessions.find(each?.token ?? "") !== undefined,
  );
  expect(known).toEqual([false, true, true, true]);
  expect(sessions.see(reader?.id ?? "")).toBe(true);
  expect(sessions.see(reader?.id ?? "")).toBe(false);
  database.close();
});

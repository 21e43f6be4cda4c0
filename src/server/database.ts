import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export type StorageErrorCode =
  | "storage-busy"
  | "storage-full"
  | "storage-damaged"
  | "storage-newer"
  | "storage-unusable";

/** The course's database can't do what was asked: what happened, and what to do about it. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly code: StorageErrorCode;
  readonly fix: string;

  constructor(code: StorageErrorCode, message: string, fix: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.fix = fix;
  }
}

/** Each statement blocks the whole server, so none waits long for another process. */
const BUSY_TIMEOUT_MS = 250;
/** In pages of 4 KiB: a flood of visitors ends here, and not with the machine's disk. */
const MAX_PAGES = 2 ** 18;

/** What makes each version of the database out of the one before. */
const migrations: readonly string[] = [
  `CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    created_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE labs (
    id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id),
    topology TEXT NOT NULL,
    UNIQUE (session_id, topology)
  ) STRICT;`,

  `ALTER TABLE labs ADD COLUMN last_used_at_ms INTEGER NOT NULL DEFAULT 0;
  UPDATE labs SET last_used_at_ms = unixepoch() * 1000;`,

  `ALTER TABLE sessions ADD COLUMN seen_at_ms INTEGER NOT NULL DEFAULT 0;
  UPDATE sessions SET seen_at_ms = unixepoch() * 1000;
  CREATE INDEX sessions_by_seen ON sessions (seen_at_ms);
  CREATE TABLE lessons (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    lesson TEXT NOT NULL,
    read_at_ms INTEGER NOT NULL,
    PRIMARY KEY (session_id, lesson)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE quizzes (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    quiz TEXT NOT NULL,
    answer TEXT NOT NULL,
    right INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (session_id, quiz)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE exercises (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    exercise TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    passed_at_ms INTEGER,
    last_at_ms INTEGER NOT NULL,
    last TEXT NOT NULL,
    PRIMARY KEY (session_id, exercise)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE attempts (
    number INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    exercise TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    result TEXT NOT NULL
  ) STRICT;
  CREATE INDEX attempts_by_exercise ON attempts (session_id, exercise, number);`,
];

/**
 * Takes a state folder for one server, until disposed or until the process is gone, however it ends. `undefined` where
 * another one has it.
 */
export function lockState(stateDir: string): Disposable | undefined {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  // A lock of the kernel's that Node can take: SQLite's own.
  const lock = new DatabaseSync(join(stateDir, "server.lock"), { timeout: 0 });
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return { [Symbol.dispose]: () => lock.close() };
  } catch (error) {
    lock.close();
    const fault = storageErrorOf(error);
    if (fault?.code === "storage-busy") return undefined;
    throw fault ?? error;
  }
}

/** Result codes of SQLite (https://sqlite.org/rescode.html), without their extension. */
const sqlite = {
  busy: 5,
  locked: 6,
  readonly: 8,
  io: 10,
  corrupt: 11,
  full: 13,
  open: 14,
  not: 26,
};

/** What an error of SQLite means for who asked; `undefined` for every other error. */
export function storageErrorOf(error: unknown): StorageError | undefined {
  if (error instanceof StorageError) return error;
  const { code, errcode, message } = error as Error & { code?: string; errcode?: number };
  if (code !== "ERR_SQLITE_ERROR" || errcode === undefined) return undefined;
  const cause = { cause: error };
  switch (errcode & 0xff) {
    case sqlite.busy:
    case sqlite.locked:
      return new StorageError(
        "storage-busy",
        "Another process holds the course's database.",
        "Try again in a moment.",
        cause,
      );
    case sqlite.full:
      return new StorageError(
        "storage-full",
        "The course's database has no room to grow.",
        "Free some space on the disk of the course server, then try again.",
        cause,
      );
    case sqlite.corrupt:
    case sqlite.not:
      return new StorageError(
        "storage-damaged",
        `The course's database is damaged: ${message}.`,
        "Bring back a copy of patchbay.db, or move it away to begin anew.",
        cause,
      );
    case sqlite.readonly:
    case sqlite.open:
    case sqlite.io:
      return new StorageError(
        "storage-unusable",
        `The course's database can't be read or written: ${message}.`,
        "See that its disk works and has room, and that this user may write there.",
        cause,
      );
    default:
      return undefined;
  }
}

/**
 * Runs `work`, which nobody waits for: what the database can't take now is logged, and `undefined` is the result.
 * Other errors are thrown.
 */
export function attempt<T>(
  log: (message: string) => void,
  what: string,
  work: () => T,
): T | undefined {
  try {
    return work();
  } catch (error) {
    const fault = storageErrorOf(error);
    if (fault === undefined) throw error;
    log(`${what}: ${fault.message} ${fault.fix}`);
    return undefined;
  }
}

/** Runs `work` whole or not at all, and hands on what it returns. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const value = work();
    database.exec("COMMIT");
    return value;
  } catch (error) {
    // Some faults have rolled it back already.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/**
 * Opens `<stateDir>/patchbay.db`, made where there is none and brought to this version where it is older.
 * Throws `StorageError`; a database of a newer version is left as it is.
 */
export function openDatabase(stateDir: string): DatabaseSync {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const file = join(stateDir, "patchbay.db");
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    const version = () =>
      Number(database?.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
    const newest = migrations.length;
    if (version() > newest) {
      throw new StorageError(
        "storage-newer",
        `${file} was written by a newer Patchbay (${version()}; this one knows ${newest}).`,
        "Start that one, or move the file away to begin anew.",
      );
    }
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA max_page_count = ${MAX_PAGES};`);
    const opened = database;
    transaction(opened, () => {
      for (const migration of migrations.slice(version())) opened.exec(migration);
      opened.exec(`PRAGMA user_version = ${newest}`);
    });
    return database;
  } catch (error) {
    database?.close();
    throw storageErrorOf(error) ?? error;
  }
}

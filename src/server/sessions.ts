import { createHash, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Name of the cookie that holds a session's token. */
export const sessionCookie = "patchbay_session";

const SCHEMA_VERSION = 2;

/** What is kept of a lab. */
export interface LabRow {
  readonly id: string;
  readonly topology: string;
  /** Unix time, milliseconds. */
  readonly lastUsedAtMs: number;
}

/** Sessions and the labs that are theirs, in `<stateDir>/patchbay.db`. The database knows no secret: tokens are hashed. */
export class SessionStore implements Disposable {
  readonly #database: DatabaseSync;

  constructor(stateDir: string) {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const file = join(stateDir, "patchbay.db");
    this.#database = new DatabaseSync(file);
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 5000;");
    const version = Number(this.#database.prepare("PRAGMA user_version").get()?.["user_version"]);
    if (version > SCHEMA_VERSION) {
      this.#database.close();
      throw new Error(
        `${file} was written by a newer Patchbay (${version}; this one knows ${SCHEMA_VERSION}). Start that one, or move the file away to begin anew.`,
      );
    }
    this.#database.exec(`
      BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS sessions (
        id TEXT PRIMARY KEY,
        created_at_ms INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE IF NOT EXISTS labs (
        id TEXT PRIMARY KEY,
        session_id TEXT NOT NULL REFERENCES sessions (id),
        topology TEXT NOT NULL,
        UNIQUE (session_id, topology)
      ) STRICT;
      ${version < 2 ? `ALTER TABLE labs ADD COLUMN last_used_at_ms INTEGER NOT NULL DEFAULT ${Date.now()};` : ""}
      PRAGMA user_version = ${SCHEMA_VERSION};
      COMMIT;
    `);
  }

  /** A new session: the token is for the cookie, the id for everything else. */
  create(): { readonly token: string; readonly id: string } {
    const token = randomBytes(32).toString("base64url");
    const id = this.#idOf(token);
    this.#database
      .prepare("INSERT INTO sessions (id, created_at_ms) VALUES (?, ?)")
      .run(id, Date.now());
    return { token, id };
  }

  /** The session's id, or `undefined` where the token is nobody's. */
  find(token: string): string | undefined {
    const id = this.#idOf(token);
    return this.#database.prepare("SELECT id FROM sessions WHERE id = ?").get(id) && id;
  }

  labOf(sessionId: string, topology: string): string | undefined {
    const row = this.#database
      .prepare("SELECT id FROM labs WHERE session_id = ? AND topology = ?")
      .get(sessionId, topology);
    return row?.["id"] as string | undefined;
  }

  /** The topology of a lab that belongs to the session; `undefined` for everyone else's. */
  topologyOf(sessionId: string, labId: string): string | undefined {
    const row = this.#database
      .prepare("SELECT topology FROM labs WHERE id = ? AND session_id = ?")
      .get(labId, sessionId);
    return row?.["topology"] as string | undefined;
  }

  addLab(sessionId: string, topology: string, labId: string): void {
    this.#database
      .prepare("INSERT INTO labs (id, session_id, topology, last_used_at_ms) VALUES (?, ?, ?, ?)")
      .run(labId, sessionId, topology, Date.now());
  }

  /** All labs of all sessions. */
  labs(): readonly LabRow[] {
    const rows = this.#database.prepare("SELECT id, topology, last_used_at_ms FROM labs").all();
    return rows.map((row) => ({
      id: String(row["id"]),
      topology: String(row["topology"]),
      lastUsedAtMs: Number(row["last_used_at_ms"]),
    }));
  }

  markUsed(labId: string): void {
    this.#database
      .prepare("UPDATE labs SET last_used_at_ms = ? WHERE id = ?")
      .run(Date.now(), labId);
  }

  removeLab(labId: string): void {
    this.#database.prepare("DELETE FROM labs WHERE id = ?").run(labId);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #idOf(token: string): string {
    return createHash("sha256").update(token).digest("base64url");
  }
}

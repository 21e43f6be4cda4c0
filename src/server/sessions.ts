import { createHash, randomBytes } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";

/** Name of the cookie that holds a session's token; by https it has a prefix. */
export const sessionCookie = "patchbay_session";

const DAY_MS = 24 * 3_600_000;

/** What is kept of a lab. */
export interface LabRow {
  readonly id: string;
  readonly topology: string;
  /** Unix time, milliseconds. */
  readonly lastUsedAtMs: number;
}

/** Sessions and the labs that are theirs. The database knows no secret: tokens are hashed. */
export class SessionStore {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** A new session: the token is for the cookie, the id for everything else. */
  create(): { readonly token: string; readonly id: string } {
    const token = randomBytes(32).toString("base64url");
    const id = this.#idOf(token);
    this.#database
      .prepare("INSERT INTO sessions (id, created_at_ms, seen_at_ms) VALUES (?, ?, ?)")
      .run(id, Date.now(), Date.now());
    return { token, id };
  }

  /** The session's id, or `undefined` where the token is nobody's. */
  find(token: string): string | undefined {
    const id = this.#idOf(token);
    return this.#database.prepare("SELECT id FROM sessions WHERE id = ?").get(id) && id;
  }

  /** Writes down that somebody came with the session, once a day; true where that was now. */
  see(sessionId: string): boolean {
    const now = Date.now();
    // Looked at first: an update waits for other writers, though it changes nothing.
    const row = this.#database
      .prepare("SELECT seen_at_ms FROM sessions WHERE id = ?")
      .get(sessionId);
    if (row === undefined || now - Number(row["seen_at_ms"]) < DAY_MS) return false;
    this.#database.prepare("UPDATE sessions SET seen_at_ms = ? WHERE id = ?").run(now, sessionId);
    return true;
  }

  /** Removes sessions that nobody came with for two days and that hold nothing: no lab, no progress. */
  prune(): void {
    this.#database
      .prepare(
        `DELETE FROM sessions WHERE seen_at_ms < ?
          AND id NOT IN (SELECT session_id FROM labs)
          AND id NOT IN (SELECT session_id FROM lessons)
          AND id NOT IN (SELECT session_id FROM quizzes)
          AND id NOT IN (SELECT session_id FROM exercises)`,
      )
      .run(Date.now() - 2 * DAY_MS);
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

  #idOf(token: string): string {
    return createHash("sha256").update(token).digest("base64url");
  }
}

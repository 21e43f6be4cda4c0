import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import type { ExerciseResult } from "../../graders/index.ts";
import { attempt, storageErrorOf, transaction } from "./database.ts";
import { ApiError } from "./errors.ts";

type Scalar = string | number | boolean;
/** What was answered: a text or an index, a list of them, or a list of pairs. */
export type QuizAnswer = Scalar | readonly (Scalar | readonly Scalar[])[];

export interface LessonProgress {
  /** Unix time, milliseconds, as all times here. */
  readonly readAtMs: number;
}

export interface QuizProgress {
  /** The last one. */
  readonly answer: QuizAnswer;
  readonly right: boolean;
  readonly attempts: number;
  readonly atMs: number;
}

export interface ExerciseProgress {
  /** Checks that ended with a verdict. */
  readonly attempts: number;
  /** When it passed first; a later failure does not take that away. */
  readonly passedAtMs?: number;
  readonly lastAtMs: number;
  /** The last verdict, in both languages where it was stored so; long texts are cut. */
  readonly last: ExerciseResult;
}

/** What a student has done. */
export interface Progress {
  readonly lessons: Readonly<Record<string, LessonProgress>>;
  /** By `<lesson>/<question>`. */
  readonly quizzes: Readonly<Record<string, QuizProgress>>;
  /** By the exercise's id. */
  readonly exercises: Readonly<Record<string, ExerciseProgress>>;
}

export interface Attempt {
  readonly atMs: number;
  readonly result: ExerciseResult;
}

/** How many entries an import added or bettered. */
export interface MergeCounts {
  readonly lessons: number;
  readonly quizzes: number;
  readonly exercises: number;
}

/** What one session may store. An export of so much fits into an import. */
export const progressQuota = { lessons: 100, quizzes: 300, exercises: 100 } as const;
/** Of the JSON of one result. */
export const RESULT_BYTES = 16 * 1024;
const ATTEMPTS_KEPT = 10;
const UNSAVED_KEPT = 1000;

interface Unsaved extends Attempt {
  readonly sessionId: string;
}

const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

function shortened({ checks, ...result }: ExerciseResult, length: number): ExerciseResult {
  const text = JSON.stringify(checks, (_key, each) =>
    typeof each === "string" && each.length > length ? `${each.slice(0, length)}…` : each,
  );
  return { ...result, checks: JSON.parse(text) };
}

/** A result with its longest texts cut, so far as it takes to fit `RESULT_BYTES`. */
export function fitted(result: ExerciseResult): ExerciseResult {
  const lengths = [2000, 1000, 500, 200, 100, 50];
  const tries = lengths.values().map((length) => shortened(result, length));
  return tries.find((each) => bytesOf(each) <= RESULT_BYTES) ?? { ...result, checks: [] };
}

/** Whether two results say the same: their words, such as times, may differ. */
function sameVerdicts(a: ExerciseResult, b: ExerciseResult): boolean {
  const verdicts = ({ status, checks }: ExerciseResult) =>
    JSON.stringify([status, checks.map((check) => [check.id, check.status])]);
  return verdicts(a) === verdicts(b);
}

const hasVerdict = ({ status }: ExerciseResult) => status === "passed" || status === "failed";

/** What students have done, by session. Methods throw the errors of SQLite: see `storageErrorOf`. */
export class ProgressStore {
  readonly #database: DatabaseSync;
  readonly #log: (message: string) => void;
  /** Attempts that the database would not take, to be tried again. */
  #unsaved: Unsaved[] = [];

  constructor(database: DatabaseSync, log: (message: string) => void) {
    this.#database = database;
    this.#log = log;
  }

  of(sessionId: string): Progress {
    const entries = <T>(table: string, key: string, entry: (row: Row) => T) =>
      Object.fromEntries(
        this.#database
          .prepare(`SELECT * FROM ${table} WHERE session_id = ? ORDER BY ${key}`)
          .all(sessionId)
          .map((row) => [String(row[key]), entry(row)]),
      );
    return {
      lessons: entries("lessons", "lesson", (row) => ({ readAtMs: Number(row["read_at_ms"]) })),
      quizzes: entries("quizzes", "quiz", quizOf),
      exercises: entries("exercises", "exercise", exerciseOf),
    };
  }

  /** Marks a lesson as read, or as not read. Throws `ApiError` 409 `progress-full`. */
  setRead(sessionId: string, lesson: string, read: boolean): void {
    if (!read) {
      this.#database
        .prepare("DELETE FROM lessons WHERE session_id = ? AND lesson = ?")
        .run(sessionId, lesson);
      return;
    }
    transaction(this.#database, () => {
      this.#database
        .prepare(
          "INSERT INTO lessons (session_id, lesson, read_at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .run(sessionId, lesson, Date.now());
      this.#keepQuota(sessionId, "lessons");
    });
  }

  /** Throws `ApiError` 409 `progress-full`. */
  answerQuiz(
    sessionId: string,
    quiz: string,
    { answer, right }: Pick<QuizProgress, "answer" | "right">,
  ): QuizProgress {
    return transaction(this.#database, () => {
      const row = this.#database
        .prepare(
          `INSERT INTO quizzes (session_id, quiz, answer, right, attempts, at_ms)
            VALUES (?, ?, ?, ?, 1, ?)
            ON CONFLICT DO UPDATE SET answer = excluded.answer, right = excluded.right,
              attempts = attempts + 1, at_ms = excluded.at_ms
            RETURNING *`,
        )
        .get(sessionId, quiz, JSON.stringify(answer), right ? 1 : 0, Date.now());
      this.#keepQuota(sessionId, "quizzes");
      return quizOf(row as Row);
    });
  }

  /**
   * Takes down how a check that the student asked for ended. Never throws for a database that is busy or full:
   * the attempt is kept in memory, and stored as soon as that works.
   */
  record(sessionId: string, result: ExerciseResult): void {
    if (this.#unsaved.length >= UNSAVED_KEPT) this.#unsaved.shift();
    this.#unsaved.push({ sessionId, atMs: Date.now(), result: fitted(result) });
    this.flush();
  }

  /**
   * Takes down a result of checks that run by themselves: only where its verdicts differ from those of the last
   * attempt, and not before anything was done for the exercise.
   */
  observe(sessionId: string, result: ExerciseResult): void {
    const { exercise } = result;
    const unsaved = this.#unsaved.findLast(
      (each) => each.sessionId === sessionId && each.result.exercise === exercise,
    );
    const last =
      unsaved?.result ?? attempt(this.#log, "last attempt", () => this.#last(sessionId, exercise));
    const nothingDone = result.checks.every(({ status }) => status !== "passed");
    if (!hasVerdict(result) || (last === undefined ? nothingDone : sameVerdicts(last, result))) {
      return;
    }
    this.record(sessionId, result);
  }

  /** The last attempts at an exercise, newest first, also those that ended without a verdict. */
  attempts(sessionId: string, exercise: string): readonly Attempt[] {
    return this.#database
      .prepare(
        "SELECT at_ms, result FROM attempts WHERE session_id = ? AND exercise = ? ORDER BY number DESC",
      )
      .all(sessionId, exercise)
      .map((row) => ({ atMs: Number(row["at_ms"]), result: JSON.parse(String(row["result"])) }));
  }

  /**
   * Adds what another progress has more of. Nothing that was passed, answered or read is lost, and the same
   * progress merged twice changes nothing the second time. Throws `ApiError` 409 `progress-full`.
   */
  merge(sessionId: string, other: Progress): MergeCounts {
    return transaction(this.#database, () => {
      const own = this.of(sessionId);
      const count = <T>(
        theirs: Readonly<Record<string, T>>,
        ours: Readonly<Record<string, T>>,
        better: (their: T, our: T) => T,
        store: (key: string, value: T) => void,
      ) => {
        let changed = 0;
        for (const [key, their] of Object.entries(theirs)) {
          const our = Object.hasOwn(ours, key) ? ours[key] : undefined;
          const merged = our === undefined ? their : better(their, our);
          if (our !== undefined && JSON.stringify(merged) === JSON.stringify(our)) continue;
          store(key, merged);
          changed += 1;
        }
        return changed;
      };
      const counts = {
        lessons: count(other.lessons, own.lessons, earlier, (lesson, { readAtMs }) =>
          this.#database
            .prepare("INSERT OR REPLACE INTO lessons VALUES (?, ?, ?)")
            .run(sessionId, lesson, readAtMs),
        ),
        quizzes: count(
          other.quizzes,
          own.quizzes,
          betterQuiz,
          (quiz, { answer, right, attempts, atMs }) =>
            this.#database
              .prepare("INSERT OR REPLACE INTO quizzes VALUES (?, ?, ?, ?, ?, ?)")
              .run(sessionId, quiz, JSON.stringify(answer), right ? 1 : 0, attempts, atMs),
        ),
        exercises: count(
          other.exercises,
          own.exercises,
          betterExercise,
          (exercise, { attempts, passedAtMs = null, lastAtMs, last }) =>
            this.#database
              .prepare("INSERT OR REPLACE INTO exercises VALUES (?, ?, ?, ?, ?, ?)")
              .run(sessionId, exercise, attempts, passedAtMs, lastAtMs, JSON.stringify(last)),
        ),
      };
      for (const table of ["lessons", "quizzes", "exercises"] as const) {
        this.#keepQuota(sessionId, table);
      }
      return counts;
    });
  }

  /** Stores attempts that the database would not take before. */
  flush(): void {
    attempt(this.#log, `attempts not stored yet: ${this.#unsaved.length}`, () => {
      for (let next = this.#unsaved[0]; next !== undefined; next = this.#unsaved[0]) {
        try {
          this.#store(next);
        } catch (error) {
          if (storageErrorOf(error) !== undefined) throw error;
          // Of a session that is gone, for one: it must not stand in the way of all others.
          this.#log(`attempt of ${next.sessionId} dropped: ${(error as Error).stack}`);
        }
        this.#unsaved.shift();
      }
    });
  }

  #store({ sessionId, atMs, result }: Unsaved): void {
    const { exercise, status } = result;
    const json = JSON.stringify(result);
    transaction(this.#database, () => {
      this.#database
        .prepare("INSERT INTO attempts (session_id, exercise, at_ms, result) VALUES (?, ?, ?, ?)")
        .run(sessionId, exercise, atMs, json);
      this.#database
        .prepare(
          `DELETE FROM attempts WHERE session_id = :session AND exercise = :exercise AND number NOT IN
            (SELECT number FROM attempts WHERE session_id = :session AND exercise = :exercise
              ORDER BY number DESC LIMIT ${ATTEMPTS_KEPT})`,
        )
        .run({ session: sessionId, exercise });
      if (!hasVerdict(result)) return;
      this.#database
        .prepare(
          `INSERT INTO exercises (session_id, exercise, attempts, passed_at_ms, last_at_ms, last)
            VALUES (?, ?, 1, ?, ?, ?)
            ON CONFLICT DO UPDATE SET attempts = attempts + 1,
              passed_at_ms = coalesce(passed_at_ms, excluded.passed_at_ms),
              last_at_ms = excluded.last_at_ms, last = excluded.last`,
        )
        .run(sessionId, exercise, status === "passed" ? atMs : null, atMs, json);
    });
  }

  #last(sessionId: string, exercise: string): ExerciseResult | undefined {
    const row = this.#database
      .prepare("SELECT last FROM exercises WHERE session_id = ? AND exercise = ?")
      .get(sessionId, exercise);
    return row && (JSON.parse(String(row["last"])) as ExerciseResult);
  }

  #keepQuota(sessionId: string, table: keyof typeof progressQuota): void {
    const row = this.#database
      .prepare(`SELECT count(*) AS stored FROM ${table} WHERE session_id = ?`)
      .get(sessionId);
    if (Number(row?.["stored"]) <= progressQuota[table]) return;
    throw new ApiError(
      409,
      "progress-full",
      `A student's progress has at most ${progressQuota[table]} ${table}.`,
    );
  }
}

type Row = Record<string, SQLOutputValue>;

function quizOf(row: Row): QuizProgress {
  return {
    answer: JSON.parse(String(row["answer"])),
    right: row["right"] === 1,
    attempts: Number(row["attempts"]),
    atMs: Number(row["at_ms"]),
  };
}

function exerciseOf(row: Row): ExerciseProgress {
  const passedAtMs = row["passed_at_ms"];
  return {
    attempts: Number(row["attempts"]),
    ...(passedAtMs !== null && { passedAtMs: Number(passedAtMs) }),
    lastAtMs: Number(row["last_at_ms"]),
    last: JSON.parse(String(row["last"])),
  };
}

const earlier = (a: LessonProgress, b: LessonProgress): LessonProgress =>
  a.readAtMs < b.readAtMs ? a : b;

function betterQuiz(a: QuizProgress, b: QuizProgress): QuizProgress {
  const attempts = Math.max(a.attempts, b.attempts);
  if (a.right !== b.right) return { ...(a.right ? a : b), attempts };
  return { ...(a.atMs > b.atMs ? a : b), attempts };
}

function betterExercise(a: ExerciseProgress, b: ExerciseProgress): ExerciseProgress {
  const passedAtMs = Math.min(a.passedAtMs ?? Infinity, b.passedAtMs ?? Infinity);
  const { lastAtMs, last } = a.lastAtMs > b.lastAtMs ? a : b;
  return {
    attempts: Math.max(a.attempts, b.attempts),
    ...(passedAtMs < Infinity && { passedAtMs }),
    lastAtMs,
    last,
  };
}

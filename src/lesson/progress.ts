/** What the student has done, as the server keeps it; the page's jacks show it. */
import type { ExerciseResult } from "../../graders/core/results.ts";
import { request } from "../http-client/request.ts";

/** Index of an option, indices in an order, or a text. */
export type QuizAnswer = number | string | readonly number[];

export interface Progress {
  readonly lessons: Readonly<Record<string, { readonly readAtMs: number }>>;
  /** By `<lesson>/<id>`. */
  readonly quizzes: Readonly<
    Record<string, { readonly answer: QuizAnswer; readonly right: boolean }>
  >;
  /** By the exercise's id. */
  readonly exercises: Readonly<
    Record<
      string,
      { readonly passedAtMs?: number; readonly lastAtMs: number; readonly last: ExerciseResult }
    >
  >;
}

type Listener = (progress: Progress) => void;
type Change = (progress: Progress) => Progress;

const nothing: Progress = { lessons: {}, quizzes: {}, exercises: {} };

/**
 * Where the server keeps no progress or does not answer, all goes on with what happens on this page: `kept` is then
 * false, and nothing fails.
 */
class ProgressStore {
  #progress = nothing;
  #loaded: Promise<void> | undefined;
  /** What was done since the server was asked last: its answer may know nothing of it yet. */
  #since: Change[] = [];
  #kept = true;
  readonly #listeners = new Set<Listener>();

  /** Whether the server keeps what is done here. */
  get kept(): boolean {
    return this.#kept;
  }

  /** Told now, if the progress is there already, and whenever it changes. */
  onChange(listener: Listener): void {
    this.#listeners.add(listener);
    if (this.#loaded === undefined) this.load();
    else if (this.#progress !== nothing) listener(this.#progress);
  }

  /** Asks the server anew. */
  load(): Promise<void> {
    this.#since = [];
    this.#loaded = request("/api/progress")
      .then(async (response) => {
        const told = (await response.json()) as Progress;
        this.#set(this.#since.reduce((progress, change) => change(progress), told));
      })
      .catch(() => {
        this.#kept = false;
        this.#set({ ...this.#progress });
      });
    return this.#loaded;
  }

  setRead(lesson: string, read: boolean): void {
    const readAtMs = Date.now();
    this.#change((progress) => {
      const { [lesson]: _, ...others } = progress.lessons;
      return { ...progress, lessons: read ? { ...others, [lesson]: { readAtMs } } : others };
    });
    this.#put(`lessons/${lesson}`, { read });
  }

  answerQuiz(id: string, answer: QuizAnswer, right: boolean): void {
    this.#change((progress) => ({
      ...progress,
      quizzes: { ...progress.quizzes, [id]: { answer, right } },
    }));
    this.#put(`quizzes/${id}`, { answer, right });
  }

  /** The server has recorded this result already: it graded it. */
  noteResult(result: ExerciseResult): void {
    if (result.status !== "passed" && result.status !== "failed") return;
    const lastAtMs = Date.now();
    this.#change((progress) => {
      const passedAtMs =
        progress.exercises[result.exercise]?.passedAtMs ??
        (result.status === "passed" ? lastAtMs : undefined);
      const entry = { lastAtMs, last: result, ...(passedAtMs !== undefined && { passedAtMs }) };
      return { ...progress, exercises: { ...progress.exercises, [result.exercise]: entry } };
    });
  }

  #change(change: Change): void {
    this.#since.push(change);
    this.#set(change(this.#progress));
  }

  #put(path: string, body: object): void {
    const headers = { "content-type": "application/json" };
    // Also when the page is being left.
    const init = { method: "PUT", headers, body: JSON.stringify(body), keepalive: true };
    request(`/api/progress/${path}`, init).catch(() => {
      this.#kept = false;
      this.#set({ ...this.#progress });
    });
  }

  #set(progress: Progress): void {
    this.#progress = progress;
    for (const listener of this.#listeners) listener(progress);
  }
}

export const progress = new ProgressStore();

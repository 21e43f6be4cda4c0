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

const nothing: Progress = { lessons: {}, quizzes: {}, exercises: {} };

/**
 * Where the server keeps no progress or does not answer, all goes on with what happens on this page: `kept` is then
 * false, and nothing fails.
 */
class ProgressStore {
  #progress = nothing;
  #loaded: Promise<void> | undefined;
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
    this.#loaded = request("/api/progress")
      .then(async (response) => {
        this.#set((await response.json()) as Progress);
      })
      .catch(() => {
        this.#kept = false;
        this.#set({ ...this.#progress });
      });
    return this.#loaded;
  }

  setRead(lesson: string, read: boolean): void {
    const { [lesson]: _, ...others } = this.#progress.lessons;
    const lessons = read ? { ...others, [lesson]: { readAtMs: Date.now() } } : others;
    this.#set({ ...this.#progress, lessons });
    this.#put(`lessons/${lesson}`, { read });
  }

  answerQuiz(id: string, answer: QuizAnswer, right: boolean): void {
    const quizzes = { ...this.#progress.quizzes, [id]: { answer, right } };
    this.#set({ ...this.#progress, quizzes });
    this.#put(`quizzes/${id}`, { answer, right });
  }

  /** The server has recorded this result already: it graded it. */
  noteResult(result: ExerciseResult): void {
    if (result.status !== "passed" && result.status !== "failed") return;
    const lastAtMs = Date.now();
    const passedAtMs =
      this.#progress.exercises[result.exercise]?.passedAtMs ??
      (result.status === "passed" ? lastAtMs : undefined);
    const entry = { lastAtMs, last: result, ...(passedAtMs !== undefined && { passedAtMs }) };
    const exercises = { ...this.#progress.exercises, [result.exercise]: entry };
    this.#set({ ...this.#progress, exercises });
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

import type { Exercise, ExerciseResult } from "../../graders/index.ts";
import { LabWatch } from "../../graders/index.ts";
import type { SandboxEngine } from "../../sandbox/index.ts";
import { ApiError } from "./errors.ts";

const MAX_PAGES_OF_LAB = 16;
const MAX_PAGES = 512;

/** Labs that pages watch: one watch for each lab, however many pages look at it. */
export class LabWatches implements AsyncDisposable {
  readonly #engine: SandboxEngine;
  readonly #log: (message: string) => void;
  readonly #watches = new Map<string, { readonly watch: LabWatch; pages: number }>();
  readonly #ending = new Set<Promise<void>>();

  constructor(engine: SandboxEngine, log: (message: string) => void) {
    this.#engine = engine;
    this.#log = log;
  }

  /** Tells results of an exercise in a lab until the returned function is called. Throws `ApiError` 429. */
  follow(
    labId: string,
    exercise: Exercise,
    onResult: (result: ExerciseResult) => void,
  ): () => void {
    const watched = this.#watches.get(labId) ?? { watch: this.#watchOf(labId), pages: 0 };
    const pages = [...this.#watches.values()].reduce((sum, each) => sum + each.pages, 0);
    if (watched.pages >= MAX_PAGES_OF_LAB || pages >= MAX_PAGES) {
      throw new ApiError(
        429,
        "too-many-watches",
        "Too many pages watch already.",
        "Close some of them, or use the check's button.",
      );
    }
    this.#watches.set(labId, watched);
    watched.pages += 1;
    const stop = watched.watch.follow(exercise, onResult);
    return () => {
      stop();
      watched.pages -= 1;
      if (watched.pages > 0) return;
      this.#watches.delete(labId);
      const ended = watched.watch.ended.finally(() => this.#ending.delete(ended));
      this.#ending.add(ended);
    };
  }

  /** Waits for what still runs of watches that nobody follows any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#ending);
  }

  #watchOf(labId: string): LabWatch {
    return new LabWatch(
      () => this.#engine.find(labId),
      (message) => this.#log(`lab ${labId}: ${message}`),
    );
  }
}

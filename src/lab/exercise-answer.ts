import { ApiError } from "../http-client/request.ts";
import { clientText } from "../lesson/words.ts";
import { getAnswer, putAnswer } from "./api.ts";
import { labSession } from "./lab-session.ts";

/** The answer to an exercise, kept in the lab; see `Answer.astro`. */
class ExerciseAnswer extends HTMLElement {
  connectedCallback(): void {
    const input = this.querySelector("input");
    if (input === null) return;
    this.querySelector("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#save(input.value);
    });
    let shownFor: string | undefined;
    labSession()?.onChange(async (phase) => {
      if (phase.name !== "ready" || phase.id === shownFor) return;
      shownFor = phase.id;
      // A lab without an answer leaves what was typed before it was there.
      const kept = await getAnswer(phase.id, this.#exercise).catch(() => "");
      if (kept !== "") input.value = kept;
    });
  }

  get #exercise(): string {
    return this.dataset["exercise"] ?? "";
  }

  async #save(answer: string): Promise<void> {
    const text = clientText();
    const phase = labSession()?.phase;
    if (phase?.name !== "ready") return this.#say(text.answer.startFirst, "failed");
    try {
      await putAnswer(phase.id, this.#exercise, answer);
      this.#say(text.answer.saved, "passed");
    } catch (error) {
      this.#say(error instanceof ApiError ? error.message : text.serverGone, "failed");
    }
  }

  #say(words: string, status: string): void {
    const told = this.querySelector<HTMLElement>(".answer-told");
    if (told === null) return;
    told.dataset["status"] = status;
    told.textContent = words;
  }
}

customElements.define("pb-answer", ExerciseAnswer);

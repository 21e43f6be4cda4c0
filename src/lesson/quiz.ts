import { fill } from "../i18n/fill.ts";
import { progress, type QuizAnswer } from "./progress.ts";
import { clientText } from "./words.ts";

interface Judged {
  readonly answer: QuizAnswer;
  readonly right: boolean;
  /** What to say where it is not right. */
  readonly wrong: string;
}

/** A question; see `Quiz.astro`. Its answer is the student's own affair: it is judged here, and kept by the server. */
class Quiz extends HTMLElement {
  #touched = false;

  connectedCallback(): void {
    this.querySelector("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#touched = true;
      const judged = this.#judge();
      if (typeof judged === "string") return this.#tell("", judged);
      this.#show(judged);
      progress.answerQuiz(this.#id, judged.answer, judged.right);
    });
    this.addEventListener("input", () => this.#change());
    for (const button of this.querySelectorAll<HTMLElement>("[data-move]")) {
      button.addEventListener("click", () => this.#move(button));
    }
    progress.onChange(({ quizzes }) => {
      const known = quizzes[this.#id];
      if (this.#touched || known === undefined || !this.#restore(known.answer)) return;
      const judged = this.#judge();
      if (typeof judged !== "string") this.#show(judged);
    });
  }

  get #id(): string {
    return this.dataset["quiz"] ?? "";
  }

  get #items(): HTMLElement[] {
    return [...this.querySelectorAll<HTMLElement>("[data-item]")];
  }

  /** Another answer begins anew. */
  #change(): void {
    this.#touched = true;
    for (const item of this.#items) {
      delete item.dataset["mark"];
      item.querySelector(".quiz-why")?.setAttribute("hidden", "");
    }
    this.querySelector(".quiz-explanation")?.setAttribute("hidden", "");
    this.#tell("", "");
  }

  #move(button: HTMLElement): void {
    const item = button.closest("li");
    const other =
      button.dataset["move"] === "-1" ? item?.previousElementSibling : item?.nextElementSibling;
    if (item === null || !other) return;
    this.#change();
    if (button.dataset["move"] === "-1") other.before(item);
    else other.after(item);
    // Moving an element takes the focus from what is in it.
    button.focus();
    const items = this.#items;
    const values = {
      item: item.querySelector(".quiz-text")?.textContent ?? "",
      position: items.indexOf(item) + 1,
      total: items.length,
    };
    this.#tell("", fill(clientText().quiz.moved, values));
  }

  /** The answer as it stands; what is missing, in words, where there is none. */
  #judge(): Judged | string {
    const text = clientText().quiz;
    const items = this.#items;
    const partly = (places: readonly boolean[]): Omit<Judged, "answer"> => {
      const right = places.filter(Boolean).length;
      const wrong = `${text.wrong} ${fill(text.partly, { right, total: places.length })}`;
      return { right: right === places.length, wrong };
    };
    switch (this.dataset["kind"]) {
      case "order": {
        const answer = items.map((item) => Number(item.dataset["item"]));
        return { answer, ...partly(answer.map((item, index) => item === index)) };
      }
      case "match": {
        const values = items.map((item) => item.querySelector("select")?.value ?? "");
        if (values.includes("")) return text.chooseAll;
        const places = items.map((item, index) => item.dataset["item"] === values[index]);
        return { answer: values.map(Number), ...partly(places) };
      }
      case "text": {
        const answer = this.querySelector("input")?.value.trim() ?? "";
        if (answer === "") return text.type;
        const accept = JSON.parse(this.dataset["accept"] ?? "[]") as readonly string[];
        const right = accept.some((source) => new RegExp(`^(?:${source})$`, "iu").test(answer));
        return { answer, right, wrong: text.wrong };
      }
      default: {
        const chosen = items.flatMap((item, index) =>
          item.querySelector("input")?.checked ? [index] : [],
        );
        if (chosen.length === 0) return text.choose;
        const right = items.every(
          (item, index) => (item.dataset["right"] !== undefined) === chosen.includes(index),
        );
        const answer = this.dataset["kind"] === "one" ? (chosen[0] ?? 0) : chosen;
        return { answer, right, wrong: text.wrong };
      }
    }
  }

  #show({ right, wrong }: Judged): void {
    for (const [index, item] of this.#items.entries()) {
      const mark = this.#mark(item, index);
      if (mark !== undefined) item.dataset["mark"] = mark ? "right" : "wrong";
      const chosen = item.querySelector("input")?.checked ?? false;
      item.querySelector(".quiz-why")?.toggleAttribute("hidden", !chosen);
    }
    const explanation = this.querySelector<HTMLDetailsElement>(".quiz-explanation");
    if (explanation !== null) {
      explanation.hidden = false;
      explanation.open = right;
    }
    this.#tell(right ? "right" : "wrong", right ? clientText().quiz.right : wrong);
  }

  /** Whether an item is where it belongs; `undefined` for an option that was not chosen. */
  #mark(item: HTMLElement, index: number): boolean | undefined {
    const { kind } = this.dataset;
    if (kind === "order") return Number(item.dataset["item"]) === index;
    if (kind === "match") return item.querySelector("select")?.value === item.dataset["item"];
    if (item.querySelector("input")?.checked !== true) return undefined;
    return item.dataset["right"] !== undefined;
  }

  /** Puts an earlier answer back. Says whether it still fits: a question may have been changed since. */
  #restore(answer: QuizAnswer): boolean {
    const items = this.#items;
    const list = typeof answer === "object" ? answer : [answer];
    const byItem = (item: number | string) =>
      items.find((each) => each.dataset["item"] === String(item));
    switch (this.dataset["kind"]) {
      case "order": {
        const found = list.map(byItem);
        if (found.length !== items.length || found.includes(undefined)) return false;
        this.querySelector(".quiz-order")?.append(...(found as HTMLElement[]));
        return true;
      }
      case "match": {
        if (list.length !== items.length) return false;
        for (const [index, item] of items.entries()) {
          const select = item.querySelector("select");
          if (select !== null) select.value = String(list[index]);
        }
        return items.every((item) => item.querySelector("select")?.value !== "");
      }
      case "text": {
        const input = this.querySelector("input");
        if (input !== null) input.value = String(answer);
        return true;
      }
      default: {
        for (const choice of list) {
          const input = items[Number(choice)]?.querySelector("input");
          if (input == null) return false;
          input.checked = true;
        }
        return true;
      }
    }
  }

  #tell(state: "" | "right" | "wrong", words: string): void {
    this.dataset["state"] = state;
    const verdict = this.querySelector(".quiz-verdict");
    if (verdict !== null) verdict.textContent = words;
  }
}

customElements.define("pb-quiz", Quiz);

/** The line in which one searches the output of a terminal. */
import { fill } from "../../i18n/fill.ts";
import type { LabText } from "../../i18n/lab.ts";
import { create, iconButton } from "./dom.ts";
import { type FindWay, maxMatches, type SearchOptions } from "./screen.ts";

export interface FindBarListener {
  /** Throws `SyntaxError` for what is no regular expression. */
  onFind(text: string, options: SearchOptions, way: FindWay): void;
  onClose(): void;
}

export class FindBar {
  readonly element: HTMLElement;
  readonly #text: LabText["find"];
  readonly #listener: FindBarListener;
  readonly #input: HTMLInputElement;
  readonly #count: HTMLElement = create("span", { class: "pb-find-count", role: "status" });
  readonly #case: HTMLButtonElement;
  readonly #regex: HTMLButtonElement;

  constructor(text: LabText["find"], listener: FindBarListener) {
    this.#text = text;
    this.#listener = listener;
    this.#input = create("input", {
      type: "search",
      "aria-label": text.label,
      placeholder: text.label,
      spellcheck: "false",
      autocomplete: "off",
    });
    this.#case = this.#toggle("Aa", text.case);
    this.#regex = this.#toggle(".*", text.regex);
    const previous = iconButton("up", text.previous);
    const next = iconButton("down", text.next);
    const close = iconButton("close", text.close);
    previous.addEventListener("click", () => this.#find("previous"));
    next.addEventListener("click", () => this.#find("next"));
    close.addEventListener("click", () => this.close());
    this.#input.addEventListener("input", () => this.#find("last"));
    this.element = create(
      "div",
      { class: "pb-find", role: "search", hidden: "" },
      this.#input,
      this.#count,
      this.#case,
      this.#regex,
      previous,
      next,
      close,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
      else if (event.key === "Enter" && event.target === this.#input) {
        this.#find(event.shiftKey ? "previous" : "next");
      } else return;
      event.preventDefault();
    });
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  open(): void {
    this.element.hidden = false;
    this.#input.focus();
    this.#input.select();
    if (this.#input.value !== "") this.#find("last");
  }

  close(): void {
    if (!this.isOpen) return;
    this.element.hidden = true;
    this.#listener.onClose();
  }

  showMatches({ at, count }: { readonly at: number; readonly count: number }): void {
    const { none, count: counted, many } = this.#text;
    this.element.dataset["found"] = String(count > 0);
    if (this.#input.value === "") this.#count.textContent = "";
    else if (count === 0) this.#count.textContent = none;
    else if (count >= maxMatches) this.#count.textContent = fill(many, { count });
    else this.#count.textContent = fill(counted, { at, count });
  }

  #toggle(shown: string, label: string): HTMLButtonElement {
    const button = create(
      "button",
      {
        type: "button",
        class: "pb-icon",
        "aria-label": label,
        title: label,
        "aria-pressed": "false",
      },
      shown,
    );
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      this.#find("last");
    });
    return button;
  }

  #find(way: FindWay): void {
    const pressed = (button: HTMLElement) => button.getAttribute("aria-pressed") === "true";
    const options = { caseSensitive: pressed(this.#case), regex: pressed(this.#regex) };
    try {
      this.#listener.onFind(this.#input.value, options, way);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      this.#count.textContent = this.#text.invalid;
      this.element.dataset["found"] = "false";
    }
  }
}

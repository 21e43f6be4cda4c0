import { progress } from "./progress.ts";

/** A solution under a lock that passing opens, and asking twice; see `Solution.astro`. */
class Solution extends HTMLElement {
  connectedCallback(): void {
    const exercise = this.dataset["exercise"] ?? "";
    const key = `patchbay.solution.${exercise}`;
    const ask = this.#part("[data-action=ask]");
    const sure = this.#part(".solution-ask");
    const expand = (open: boolean) => {
      sure.hidden = !open;
      ask.setAttribute("aria-expanded", String(open));
    };
    this.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-action]");
      const action = button?.dataset["action"];
      if (action === "ask") expand(sure.hidden === true);
      if (action === "keep") {
        expand(false);
        ask.focus();
      }
      if (action === "show") {
        localStorage.setItem(key, "shown");
        this.#open();
        this.#part(".solution-text").focus({ preventScroll: true });
      }
    });
    if (localStorage.getItem(key) !== null) this.#open();
    progress.onChange(({ exercises }) => {
      if (exercises[exercise]?.passedAtMs !== undefined) this.#open();
    });
  }

  #open(): void {
    this.#part(".solution-lock").hidden = true;
    this.#part(".solution-text").hidden = false;
  }

  #part(selector: string): HTMLElement {
    const part = this.querySelector<HTMLElement>(selector);
    if (part === null) throw new Error(`The solution lacks ${selector}.`);
    return part;
  }
}

customElements.define("pb-solution", Solution);

import { fill } from "../i18n/fill.ts";
import { clientText } from "./words.ts";

/** Hints of an exercise, shown one by one, and still shown when one comes back; see `Hints.astro`. */
class Hints extends HTMLElement {
  connectedCallback(): void {
    const hints = [...this.querySelectorAll<HTMLElement>(".hint")];
    const button = this.querySelector("button");
    const told = this.querySelector(".hints-told");
    if (button === null || told === null) return;
    const { next = "", hint = "", all = "" } = this.dataset;
    const place = [...document.querySelectorAll("pb-hints")].indexOf(this);
    // The same in every language.
    const key = `patchbay.hints.${location.pathname.replace(/^\/ru(?=\/)/, "")}${place}`;
    let shown = Math.min(Number(localStorage.getItem(key)) || 0, hints.length);

    const show = () => {
      for (const [index, each] of hints.entries()) {
        each.hidden = index >= shown;
        const name = each.querySelector(".hint-name");
        if (name !== null) name.textContent = fill(hint, { number: index + 1 });
      }
      button.hidden = shown === hints.length;
      const label = button.querySelector("span");
      const values = { number: shown + 1, total: hints.length };
      if (label !== null) label.textContent = fill(next, values);
    };
    button.addEventListener("click", () => {
      shown += 1;
      localStorage.setItem(key, String(shown));
      show();
      told.textContent =
        shown === hints.length ? all : fill(clientText().hints.shown, { number: shown });
      hints[shown - 1]?.focus({ preventScroll: true });
    });
    show();
  }
}

customElements.define("pb-hints", Hints);

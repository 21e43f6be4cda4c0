/** A button with a panel below it, closed by Esc, by the button, and by a click elsewhere. */
import { create } from "./dom.ts";

let count = 0;

export class Disclosure {
  readonly element: HTMLElement;
  readonly panel: HTMLElement;
  readonly #button: HTMLButtonElement;

  /** `onOpen` may fill the panel anew. */
  constructor(
    button: HTMLButtonElement,
    label: string,
    onOpen: (panel: HTMLElement) => void = () => undefined,
  ) {
    count += 1;
    this.#button = button;
    this.panel = create("div", {
      class: "pb-popup",
      id: `pb-popup-${count}`,
      role: "group",
      "aria-label": label,
      hidden: "",
    });
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", this.panel.id);
    this.element = create("div", { class: "pb-disclosure" }, button, this.panel);
    button.addEventListener("click", () => {
      if (!this.panel.hidden) return this.close(false);
      onOpen(this.panel);
      this.panel.hidden = false;
      button.setAttribute("aria-expanded", "true");
      this.panel.querySelector<HTMLElement>("button, input")?.focus();
    });
    this.element.addEventListener("keydown", (event) => {
      if (this.panel.hidden) return;
      if (event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        this.close(true);
      } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        this.#move(event, event.key === "ArrowDown" ? 1 : -1);
      }
    });
    this.element.addEventListener("focusout", (event) => {
      const to = event.relatedTarget as Node | null;
      if (to !== null && !this.element.contains(to)) this.close(false);
    });
    document.addEventListener("pointerdown", this.#outside);
  }

  /** `focus`: back to the button. */
  close(focus: boolean): void {
    if (this.panel.hidden) return;
    this.panel.hidden = true;
    this.#button.setAttribute("aria-expanded", "false");
    if (focus) this.#button.focus();
  }

  dispose(): void {
    document.removeEventListener("pointerdown", this.#outside);
  }

  readonly #outside = (event: Event): void => {
    if (!this.element.contains(event.target as Node)) this.close(false);
  };

  #move(event: KeyboardEvent, step: number): void {
    const target = event.target as HTMLElement;
    if (target instanceof HTMLInputElement && target.type !== "checkbox") return;
    const stops = [...this.panel.querySelectorAll<HTMLElement>("button, input")].filter(
      (stop) => !stop.hasAttribute("disabled"),
    );
    const next = stops[(stops.indexOf(target) + step + stops.length) % stops.length];
    event.preventDefault();
    next?.focus();
  }
}

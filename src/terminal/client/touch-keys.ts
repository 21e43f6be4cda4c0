/** Keys that the keyboard of a touch screen lacks. Pressing one leaves that keyboard up. */
import type { LabText } from "../../i18n/lab.ts";
import { create, icon } from "./dom.ts";
import type { Screen } from "./screen.ts";

const signs = ["|", "/", "-", "~"];

export class TouchKeys {
  readonly element: HTMLElement;
  readonly #screen: () => Screen | undefined;
  readonly #ctrl: HTMLButtonElement;

  /** `screen`: the one that the keys go to. */
  constructor(text: LabText["terminals"]["keys"], screen: () => Screen | undefined) {
    this.#screen = screen;
    this.#ctrl = this.#key("Ctrl", "Ctrl", (target) => {
      const armed = !target.ctrlArmed;
      target.armCtrl(armed);
      this.#ctrl.setAttribute("aria-pressed", String(armed));
    });
    this.#ctrl.setAttribute("aria-pressed", "false");
    const named = (label: string, name: string) =>
      this.#key(label, label, (target) => target.press(name));
    const arrows = (["left", "up", "down", "right"] as const).map((way) =>
      this.#key(icon(way), text[way], (target) => target.press(way)),
    );
    this.element = create(
      "div",
      { class: "pb-keys", role: "group", "aria-label": text.label },
      named("Esc", "Escape"),
      named("Tab", "Tab"),
      this.#ctrl,
      ...arrows,
      ...signs.map((sign) => named(sign, sign)),
      this.#key(text.paste, text.paste, (target) => void target.pasteClipboard()),
    );
  }

  /** To be called after each input: Ctrl holds for one key. */
  typed(): void {
    this.#ctrl.setAttribute("aria-pressed", String(this.#screen()?.ctrlArmed ?? false));
  }

  #key(shown: Node | string, label: string, press: (screen: Screen) => void): HTMLButtonElement {
    const button = create("button", { type: "button", "aria-label": label }, shown);
    // Focus would go from the terminal to the button, and the keyboard away with it.
    button.addEventListener("pointerdown", (event) => event.preventDefault());
    button.addEventListener("click", () => {
      const screen = this.#screen();
      if (screen !== undefined) press(screen);
    });
    return button;
  }
}

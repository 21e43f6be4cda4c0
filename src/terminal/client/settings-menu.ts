/** What one can do with a terminal, and how terminals look and behave, in one menu. */
import type { LabText } from "../../i18n/lab.ts";
import { Disclosure } from "./disclosure.ts";
import { create, iconButton } from "./dom.ts";
import { boundFontSize, type Settings } from "./preferences.ts";

type Flag = Exclude<keyof Settings, "fontSize">;

export class SettingsMenu {
  readonly disclosure: Disclosure;

  /** `actions`: words and what they do. */
  constructor(
    text: LabText["terminals"],
    settings: () => Settings,
    actions: readonly (readonly [string, () => void])[],
    onChange: <Name extends keyof Settings>(name: Name, value: Settings[Name]) => void,
  ) {
    const button = iconButton("menu", text.menu, "pb-terminals-menu");
    this.disclosure = new Disclosure(button, text.menu, (panel) => {
      const size = create("output", { class: "pb-font-size" }, String(settings().fontSize));
      const step = (label: string, shown: string, by: number) => {
        const key = create(
          "button",
          { type: "button", class: "pb-icon", "aria-label": label, title: label },
          shown,
        );
        key.addEventListener("click", () => {
          onChange("fontSize", boundFontSize(settings().fontSize + by));
          size.textContent = String(settings().fontSize);
        });
        return key;
      };
      const flag = (name: Flag, label: string) => {
        const box = create("input", { type: "checkbox", name });
        box.checked = settings()[name];
        box.addEventListener("change", () => onChange(name, box.checked));
        return create("label", {}, box, label);
      };
      panel.replaceChildren(
        ...actions.map(([label, act]) => {
          const item = create("button", { type: "button" }, label);
          item.addEventListener("click", () => {
            this.disclosure.close(true);
            act();
          });
          return item;
        }),
        create("p", { class: "pb-popup-title" }, text.settings),
        create(
          "div",
          { class: "pb-font-row", role: "group", "aria-label": text.fontSize },
          create("span", {}, text.fontSize),
          step(text.smaller, "−", -1),
          size,
          step(text.larger, "+", 1),
        ),
        flag("copyOnSelect", text.copyOnSelect),
        flag("bell", text.bell),
        flag("touchKeys", text.touchKeys),
        flag("screenReader", text.reader),
      );
    });
  }
}

/** Tabs after the ARIA Authoring Practices: arrows, Home and End move, Delete closes. */
import { create } from "./dom.ts";

export interface TabBarListener {
  onSelect(id: string): void;
  onClose(id: string): void;
}

interface Tab {
  readonly button: HTMLButtonElement;
  readonly panel: HTMLElement;
}

let barCount = 0;

export class TabBar {
  readonly element: HTMLElement = create("div", {
    class: "pb-terminals-tabs",
    role: "tablist",
    "aria-label": "Terminals",
  });
  readonly #prefix: string;
  readonly #listener: TabBarListener;
  readonly #tabs = new Map<string, Tab>();
  #selected: string | undefined;

  constructor(listener: TabBarListener) {
    barCount += 1;
    this.#prefix = `pb-terminal-${barCount}`;
    this.#listener = listener;
    this.element.addEventListener("keydown", (event) => this.#key(event));
  }

  get ids(): readonly string[] {
    return [...this.#tabs.keys()];
  }

  get selected(): string | undefined {
    return this.#selected;
  }

  /** Adds a tab at the end; `panel` becomes what it shows. */
  add(id: string, label: string, panel: HTMLElement): void {
    const cross = create("span", { class: "pb-terminals-tab-close", "aria-hidden": "true" }, "×");
    const button = create(
      "button",
      {
        type: "button",
        role: "tab",
        id: `${this.#prefix}-tab-${id}`,
        "aria-controls": `${this.#prefix}-panel-${id}`,
        "aria-selected": "false",
        "aria-keyshortcuts": "Delete",
        tabindex: "-1",
      },
      label,
      cross,
    );
    button.addEventListener("click", (event) => {
      if (event.target === cross) this.#listener.onClose(id);
      else this.#listener.onSelect(id);
    });
    panel.id = `${this.#prefix}-panel-${id}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", button.id);
    panel.hidden = true;
    this.#tabs.set(id, { button, panel });
    this.element.append(button);
  }

  /** The tab that should be selected once this one is gone: its right neighbour, or its left one. */
  neighbour(id: string): string | undefined {
    const { ids } = this;
    const index = ids.indexOf(id);
    return ids[index + 1] ?? ids[index - 1];
  }

  remove(id: string): void {
    const tab = this.#tabs.get(id);
    if (tab === undefined) return;
    this.#tabs.delete(id);
    tab.button.remove();
    tab.panel.remove();
    if (this.#selected === id) this.#selected = undefined;
  }

  select(id: string): void {
    this.#selected = id;
    for (const [other, { button, panel }] of this.#tabs) {
      const selected = other === id;
      button.setAttribute("aria-selected", String(selected));
      button.tabIndex = selected ? 0 : -1;
      panel.hidden = !selected;
    }
  }

  focusSelected(): void {
    if (this.#selected !== undefined) this.#tabs.get(this.#selected)?.button.focus();
  }

  setTitle(id: string, title: string): void {
    const button = this.#tabs.get(id)?.button;
    if (button !== undefined) button.title = title;
  }

  #key(event: KeyboardEvent): void {
    const { ids } = this;
    const index = this.#selected === undefined ? -1 : ids.indexOf(this.#selected);
    if (index < 0) return;
    const last = ids.length - 1;
    const targets: Readonly<Record<string, number>> = {
      ArrowRight: index === last ? 0 : index + 1,
      ArrowLeft: index === 0 ? last : index - 1,
      Home: 0,
      End: last,
    };
    const target = ids[targets[event.key] ?? -1];
    if (target !== undefined) {
      event.preventDefault();
      this.#listener.onSelect(target);
      this.focusSelected();
    } else if (event.key === "Delete" && this.#selected !== undefined) {
      event.preventDefault();
      this.#listener.onClose(this.#selected);
    }
  }
}

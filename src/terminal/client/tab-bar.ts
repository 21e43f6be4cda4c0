/** Tabs after the ARIA Authoring Practices: arrows, Home and End move, F2 renames, Delete closes. */
import { create, type IconName, icon } from "./dom.ts";

export interface TabBarListener {
  onSelect(id: string): void;
  onClose(id: string): void;
  onRename(id: string): void;
}

export interface TabLabel {
  readonly text: string;
  /** Tooltip; default: the text. */
  readonly title?: string;
  readonly icon?: IconName;
}

interface Tab {
  readonly button: HTMLButtonElement;
  readonly label: HTMLElement;
  readonly mark: HTMLElement;
  readonly panel: HTMLElement;
}

let barCount = 0;

export class TabBar {
  readonly element: HTMLElement;
  readonly #prefix: string;
  readonly #listener: TabBarListener;
  readonly #tabs = new Map<string, Tab>();
  #selected: string | undefined;

  constructor(label: string, listener: TabBarListener) {
    barCount += 1;
    this.#prefix = `pb-tabs-${barCount}`;
    this.#listener = listener;
    this.element = create("div", {
      class: "pb-terminals-tabs",
      role: "tablist",
      "aria-label": label,
    });
    this.element.addEventListener("keydown", (event) => this.#key(event));
  }

  get ids(): readonly string[] {
    return [...this.#tabs.keys()];
  }

  get selected(): string | undefined {
    return this.#selected;
  }

  /** Adds a tab at the end; `panel` becomes what it shows. */
  add(id: string, label: TabLabel, panel: HTMLElement): void {
    const cross = create("span", { class: "pb-tab-close", "aria-hidden": "true" }, icon("close"));
    const text = create("span", { class: "pb-tab-text" });
    const mark = create("span", { class: "pb-tab-mark", hidden: "" });
    const button = create(
      "button",
      {
        type: "button",
        role: "tab",
        class: "pb-tab",
        id: `${this.#prefix}-tab-${id}`,
        "aria-controls": `${this.#prefix}-panel-${id}`,
        "aria-selected": "false",
        "aria-keyshortcuts": "F2 Delete",
        tabindex: "-1",
      },
      ...(label.icon === undefined ? [] : [icon(label.icon)]),
      text,
      mark,
      cross,
    );
    button.addEventListener("click", (event) => {
      if (cross.contains(event.target as Node)) this.#listener.onClose(id);
      else this.#listener.onSelect(id);
    });
    button.addEventListener("auxclick", (event) => {
      if (event.button === 1) this.#listener.onClose(id);
    });
    button.addEventListener("dblclick", () => this.#listener.onRename(id));
    panel.id = `${this.#prefix}-panel-${id}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", button.id);
    panel.hidden = true;
    this.#tabs.set(id, { button, label: text, mark, panel });
    this.setLabel(id, label);
    this.element.append(button);
  }

  setLabel(id: string, { text, title = text }: TabLabel): void {
    const tab = this.#tabs.get(id);
    if (tab === undefined) return;
    tab.label.textContent = text;
    tab.button.title = title;
  }

  /** A dot beside the label, with words for who can't see it; without words it goes. */
  setMark(id: string, words: string | undefined): void {
    const mark = this.#tabs.get(id)?.mark;
    if (mark === undefined) return;
    mark.hidden = words === undefined;
    mark.textContent = words === undefined ? "" : ` (${words})`;
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
      if (selected) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  focusSelected(): void {
    if (this.#selected !== undefined) this.#tabs.get(this.#selected)?.button.focus();
  }

  #key(event: KeyboardEvent): void {
    const { ids } = this;
    const selected = this.#selected;
    const index = selected === undefined ? -1 : ids.indexOf(selected);
    if (selected === undefined || index < 0 || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    const last = ids.length - 1;
    const targets: Readonly<Record<string, number>> = {
      ArrowRight: index === last ? 0 : index + 1,
      ArrowLeft: index === 0 ? last : index - 1,
      Home: 0,
      End: last,
    };
    const target = ids[targets[event.key] ?? -1];
    if (target !== undefined) {
      this.#listener.onSelect(target);
      this.focusSelected();
    } else if (event.key === "Delete") this.#listener.onClose(selected);
    else if (event.key === "F2") this.#listener.onRename(selected);
    else return;
    event.preventDefault();
  }
}

/** All terminals of one lab in one element: tabs, status, and the way between page and shells. */
import type { RunOutcome } from "../protocol.ts";
import { TerminalApi, type TerminalEntry } from "./api.ts";
import { create } from "./dom.ts";
import { rememberScreenReaderMode, screenReaderMode } from "./preferences.ts";
import { RunLedger } from "./run-ledger.ts";
import { Screen } from "./screen.ts";
import { Session } from "./session.ts";
import { TabBar } from "./tab-bar.ts";
import type { ThemeName } from "./themes.ts";

export type TerminalsStatus = "connecting" | "connected" | "reconnecting" | "ended";

export interface LabTerminals {
  /**
   * Types a command into the terminal in view and presses Enter. An `id` is typed at most once:
   * `duplicate` says that it was. `not-connected`: nothing was sent, and nothing will be later.
   */
  run(command: string, id: string): "sent" | "duplicate" | "not-connected";
  setTheme(theme: ThemeName): void;
  focus(): void;
  /** Takes everything out of the page; shells run on. */
  dispose(): void;
  /** Tells the status now and whenever it changes; the function returned ends that. */
  onStatus(listener: (status: TerminalsStatus, text: string) => void): () => void;
}

interface View {
  readonly session: Session;
  readonly screen: Screen;
  readonly panel: HTMLElement;
  /** Said over the screen while the terminal can't be used. */
  readonly veil: HTMLElement;
}

const defaultSize = { columns: 80, rows: 24 };

const refusals: Readonly<Record<Exclude<RunOutcome, "typed">, string>> = {
  duplicate: "That command was typed already.",
  "full-screen": "A full-screen program is open in this terminal: leave it, then run the command.",
  ended: "The shell in this terminal has ended: start a new one.",
  busy: "The program in this terminal does not read its input: press Ctrl-C, then run the command.",
};

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export class LabTerminalsView implements LabTerminals {
  readonly #api: TerminalApi;
  readonly #root: HTMLElement;
  readonly #panels: HTMLElement = create("div", { class: "pb-terminals-panels" });
  readonly #status: HTMLElement = create("p", { class: "pb-terminals-status", role: "status" });
  readonly #tabs: TabBar;
  readonly #views = new Map<string, View>();
  readonly #runs = new RunLedger();
  readonly #listeners = new Set<(status: TerminalsStatus, text: string) => void>();
  readonly #abort = new AbortController();
  #theme: ThemeName;
  #screenReader = screenReaderMode();
  #current: { readonly status: TerminalsStatus; readonly text: string } = {
    status: "connecting",
    text: "Connecting to the lab…",
  };

  constructor(element: HTMLElement, options: { labId: string; theme: ThemeName }) {
    this.#api = new TerminalApi(options.labId);
    this.#theme = options.theme;
    this.#tabs = new TabBar({
      onSelect: (id) => this.#select(id),
      onClose: (id) => void this.#closeTerminal(id),
    });
    this.#root = create(
      "div",
      { class: "pb-terminals", "data-theme": options.theme },
      create("div", { class: "pb-terminals-bar" }, this.#tabs.element, ...this.#buttons()),
      this.#panels,
      create(
        "div",
        { class: "pb-terminals-foot" },
        this.#status,
        create(
          "p",
          { class: "pb-terminals-hint" },
          create("kbd", {}, "Esc"),
          " twice leaves the terminal, three times in a full-screen program. ",
          create("kbd", {}, "Enter"),
          " returns.",
        ),
      ),
    );
    element.append(this.#root);
    const { signal } = this.#abort;
    const retry = () => {
      for (const { session } of this.#views.values()) session.retryNow();
    };
    addEventListener("online", retry, { signal });
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.visibilityState === "visible") retry();
      },
      { signal },
    );
    void this.#start();
  }

  run(command: string, id: string): "sent" | "duplicate" | "not-connected" {
    const active = this.#tabs.selected;
    if (active === undefined) return "not-connected";
    const target = this.#runs.target(id, active);
    if (target === undefined) return "duplicate";
    if (!this.#views.get(target)?.session.run(id, command)) return "not-connected";
    this.#runs.sent(id, target);
    return "sent";
  }

  setTheme(theme: ThemeName): void {
    this.#theme = theme;
    this.#root.dataset["theme"] = theme;
    for (const { screen } of this.#views.values()) screen.setTheme(theme);
  }

  focus(): void {
    this.#activeView()?.screen.focus();
  }

  dispose(): void {
    this.#abort.abort();
    for (const { session, screen } of this.#views.values()) {
      session.close();
      screen.dispose();
    }
    this.#views.clear();
    this.#listeners.clear();
    this.#root.remove();
  }

  onStatus(listener: (status: TerminalsStatus, text: string) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#current.status, this.#current.text);
    return () => this.#listeners.delete(listener);
  }

  #buttons(): HTMLElement[] {
    const open = create(
      "button",
      { type: "button", class: "pb-terminals-new", "aria-label": "New terminal" },
      "+",
    );
    open.addEventListener("click", () => void this.#openTerminal(true));
    const close = create(
      "button",
      { type: "button", class: "pb-terminals-close", title: "Close this terminal and its shell" },
      "Close",
    );
    close.addEventListener("click", () => {
      if (this.#tabs.selected !== undefined) void this.#closeTerminal(this.#tabs.selected);
    });
    const reader = create(
      "button",
      {
        type: "button",
        class: "pb-terminals-reader",
        "aria-pressed": String(this.#screenReader),
        title: "Announce output to a screen reader",
      },
      "Screen reader",
    );
    reader.addEventListener("click", () => {
      this.#screenReader = !this.#screenReader;
      reader.setAttribute("aria-pressed", String(this.#screenReader));
      rememberScreenReaderMode(this.#screenReader);
      for (const { screen } of this.#views.values()) screen.setScreenReaderMode(this.#screenReader);
    });
    return [open, create("span", { class: "pb-terminals-space" }), reader, close];
  }

  async #start(): Promise<void> {
    try {
      const entries = await this.#api.list();
      if (this.#abort.signal.aborted) return;
      for (const entry of entries) this.#addView(entry);
      const [first] = entries;
      if (first === undefined) await this.#openTerminal(false);
      else this.#select(first.id);
    } catch (error) {
      this.#failedToStart(error);
    }
  }

  #failedToStart(error: unknown): void {
    const again = create("button", { type: "button" }, "Try again");
    const veil = create(
      "div",
      { class: "pb-terminals-veil" },
      create("p", {}, describe(error)),
      again,
    );
    again.addEventListener("click", () => {
      veil.remove();
      this.#tell("connecting", "Connecting to the lab…");
      void this.#start();
    });
    this.#panels.append(veil);
    this.#tell("ended", describe(error));
  }

  async #openTerminal(focus: boolean): Promise<void> {
    const size = this.#activeView()?.screen.measure() ?? defaultSize;
    let entry: TerminalEntry;
    try {
      entry = await this.#api.open(size);
    } catch (error) {
      if (this.#views.size === 0) this.#failedToStart(error);
      else this.#note(`No new terminal: ${describe(error)}`);
      return;
    }
    if (this.#abort.signal.aborted) return;
    this.#addView(entry);
    this.#select(entry.id);
    if (focus) this.focus();
  }

  async #closeTerminal(id: string): Promise<void> {
    const view = this.#views.get(id);
    if (view === undefined) return;
    try {
      if (view.session.state.name !== "ended") await this.#api.close(id);
    } catch (error) {
      this.#note(`The terminal was not closed: ${describe(error)}`);
      return;
    }
    const next = this.#tabs.neighbour(id);
    view.session.close();
    view.screen.dispose();
    this.#views.delete(id);
    this.#tabs.remove(id);
    if (next === undefined) {
      await this.#openTerminal(true);
    } else {
      this.#select(next);
      this.#tabs.focusSelected();
    }
  }

  #addView(entry: TerminalEntry): void {
    const target = create("div", {
      class: "pb-terminal",
      role: "group",
      "aria-label": `${entry.title}. Press Enter to type in it, Esc twice to leave it.`,
      tabindex: "0",
    });
    const veil = create("div", { class: "pb-terminals-veil", hidden: "" });
    const panel = create("div", { class: "pb-terminals-panel" }, target, veil);
    this.#panels.append(panel);
    this.#tabs.add(entry.id, entry.title, panel);
    // xterm measures its font, which only works in view.
    this.#tabs.select(entry.id);
    let session: Session | undefined;
    const screen = new Screen(
      target,
      { theme: this.#theme, screenReaderMode: this.#screenReader },
      {
        onInput: (bytes) => session?.input(bytes),
        onRoom: () => session?.room(),
        onTitle: (title) => this.#tabs.setTitle(entry.id, title),
        onNotice: (text) => this.#note(text),
      },
    );
    session = new Session(this.#api, entry, screen, {
      onState: () => this.#refresh(entry.id),
      onExit: (code, signal) => this.#exited(entry.id, code, signal),
      onRunAcknowledged: (id, outcome) => {
        this.#runs.acknowledge(id, outcome);
        if (outcome !== "typed") this.#note(refusals[outcome]);
      },
      onNotice: (text) => this.#note(text),
    });
    this.#views.set(entry.id, { session, screen, panel, veil });
    this.#refresh(entry.id);
  }

  #select(id: string): void {
    const before = this.#activeView();
    this.#tabs.select(id);
    const view = this.#views.get(id);
    if (before !== view) before?.screen.hidden();
    view?.screen.shown();
    this.#refresh(id);
  }

  #activeView(): View | undefined {
    const { selected } = this.#tabs;
    return selected === undefined ? undefined : this.#views.get(selected);
  }

  /** Status and veil follow from the connection's state. */
  #refresh(id: string): void {
    const view = this.#views.get(id);
    if (view === undefined) return;
    const { state } = view.session;
    const active = this.#tabs.selected === id;
    switch (state.name) {
      case "connecting":
        if (active) this.#tell("connecting", "Connecting to the shell…");
        return;
      case "connected":
        if (!view.session.exited) view.veil.hidden = true;
        if (active && !view.session.exited) this.#tell("connected", "Connected.");
        return;
      case "reconnecting":
        if (active) {
          this.#tell("reconnecting", "Connection lost. Reconnecting… What you type is not sent.");
        }
        return;
      case "ended":
        this.#veil(view, `This terminal is gone: ${state.reason}.`);
        if (active) this.#tell("ended", `This terminal is gone: ${state.reason}.`);
    }
  }

  #exited(id: string, code: number, signal: number): void {
    const view = this.#views.get(id);
    if (view === undefined) return;
    const how = code === -1 ? `by signal ${signal}` : `with exit code ${code}`;
    this.#veil(view, `The shell has ended ${how}.`);
    if (this.#tabs.selected === id) this.#tell("ended", `The shell has ended ${how}.`);
  }

  #veil(view: View, text: string): void {
    const button = create("button", { type: "button" }, "Start a new shell");
    button.addEventListener("click", () => void this.#replaceTerminal(view));
    view.veil.replaceChildren(create("p", {}, text), button);
    view.veil.hidden = false;
  }

  async #replaceTerminal(view: View): Promise<void> {
    const { id } = view.session.entry;
    if (this.#views.size > 1) await this.#openTerminal(true);
    await this.#closeTerminal(id);
  }

  #tell(status: TerminalsStatus, text: string): void {
    this.#current = { status, text };
    this.#root.dataset["status"] = status;
    this.#status.textContent = text;
    for (const listener of this.#listeners) listener(status, text);
  }

  /** Something of the moment, said without changing the status. */
  #note(text: string): void {
    this.#tell(this.#current.status, text);
  }
}

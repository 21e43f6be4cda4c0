/** All terminals of one lab in one element: tabs, status, and the way between page and shells. */
import { ApiError } from "../../http-client/request.ts";
import { fill } from "../../i18n/fill.ts";
import type { LabText } from "../../i18n/lab.ts";
import type { NoticeCode } from "../protocol.ts";
import { TerminalApi, type TerminalEntry } from "./api.ts";
import type { ConnectionState } from "./connection.ts";
import { askDialog } from "./dialog.ts";
import { Disclosure } from "./disclosure.ts";
import { create, icon, iconButton } from "./dom.ts";
import { FindBar } from "./find-bar.ts";
import { platformOf } from "./keyboard.ts";
import { offerLink, targetOf } from "./links.ts";
import { showPlainOutput } from "./plain-output.ts";
import { readSettings, rememberSetting, type Settings } from "./preferences.ts";
import { type RunAnswer, type RunRequest, Runs } from "./runs.ts";
import { Screen, type ScreenNotice } from "./screen.ts";
import { Session } from "./session.ts";
import { SettingsMenu } from "./settings-menu.ts";
import { TabBar, type TabLabel } from "./tab-bar.ts";
import type { ThemeName } from "./themes.ts";
import { TouchKeys } from "./touch-keys.ts";

export type TerminalsStatus = "connecting" | "connected" | "reconnecting" | "ended";

/** A tab of somebody else beside the terminals. */
export interface GuestTab {
  readonly id: string;
  readonly label: TabLabel;
  readonly panel: HTMLElement;
  /** The tab came into view. */
  onShow(): void;
  onHide(): void;
  /** Whoever uses it wants it closed; `remove` of its handle does that. */
  onClose(): void;
  focus(): void;
}

export interface TabHandle {
  select(): void;
  setLabel(label: TabLabel): void;
  /** A dot with words for who can't see it; `undefined` takes it away. */
  setMark(words: string | undefined): void;
  remove(): void;
}

export interface LabTerminals {
  /**
   * Types a command and presses Enter, once for an id. Where it goes: to the terminal of the name that it asks for,
   * opened where there is none; without a name to the terminal in view, if that is its host's and no lesson named it,
   * else to the host's terminal `main`.
   */
  run(request: RunRequest): Promise<RunAnswer>;
  addTab(tab: GuestTab): TabHandle;
  /** What all of it stands in. */
  readonly element: HTMLElement;
  setTheme(theme: ThemeName): void;
  focus(): void;
  /** Takes everything out of the page; shells run on. */
  dispose(): void;
  /** Tells the status now and whenever it changes; the function returned ends that. */
  onStatus(listener: (status: TerminalsStatus, text: string) => void): () => void;
}

export interface TerminalsOptions {
  readonly labId: string;
  /** Names of the lab's hosts, the first one first. */
  readonly hosts: readonly string[];
  readonly theme: ThemeName;
  readonly text: LabText;
  /** Somebody wants to open a file; without it there is no button for that. */
  readonly onFiles?: () => void;
}

interface View {
  readonly session: Session;
  readonly screen: Screen;
  readonly panel: HTMLElement;
  readonly find: FindBar;
  /** Said over the screen while the terminal can't be used. */
  readonly veil: HTMLElement;
}

const defaultSize = { columns: 80, rows: 24 };
const mainName = "main";
/** A terminal that was just opened is connected within this time, or told not to be. */
const connectMs = 10_000;
const fontMs = 2_000;
const bellMs = 400;

const noticeTexts = { "input-refused": "inputRefused", "input-dropped": "inputDropped" } as const;

export class LabTerminalsView implements LabTerminals {
  readonly #api: TerminalApi;
  readonly #options: TerminalsOptions;
  readonly #root: HTMLElement;
  readonly #panels: HTMLElement = create("div", { class: "pb-terminals-panels" });
  readonly #status: HTMLElement = create("p", { class: "pb-terminals-status", role: "status" });
  readonly #tabs: TabBar;
  readonly #keys: TouchKeys;
  readonly #disclosures: Disclosure[] = [];
  readonly #views = new Map<string, View>();
  readonly #guests = new Map<string, GuestTab>();
  readonly #runs = new Runs();
  readonly #listeners = new Set<(status: TerminalsStatus, text: string) => void>();
  readonly #abort = new AbortController();
  #theme: ThemeName;
  #settings: Settings;
  #current: { readonly status: TerminalsStatus; readonly text: string };

  constructor(element: HTMLElement, options: TerminalsOptions) {
    const { text, theme, labId } = options;
    this.#options = options;
    this.#api = new TerminalApi(labId);
    this.#theme = theme;
    this.#settings = readSettings(matchMedia("(pointer: coarse)").matches);
    this.#current = { status: "connecting", text: text.terminals.connecting };
    this.#tabs = new TabBar(text.terminals.tabs, {
      onSelect: (id) => this.#select(id),
      onClose: (id) => this.#close(id),
      onRename: (id) => void this.#rename(id),
    });
    this.#keys = new TouchKeys(text.terminals.keys, () => this.#activeView()?.screen);
    const mac = platformOf(navigator.userAgent) === "mac";
    this.#root = create(
      "div",
      { class: "pb-terminals", "data-theme": theme },
      create("div", { class: "pb-terminals-bar" }, this.#tabs.element, ...this.#buttons()),
      this.#panels,
      this.#keys.element,
      create(
        "div",
        { class: "pb-terminals-foot" },
        this.#status,
        create(
          "p",
          { class: "pb-terminals-hint" },
          create("span", {}, text.terminals.leave),
          " ",
          create(
            "span",
            { class: "pb-terminals-clipboard" },
            mac ? text.terminals.copyHintMac : text.terminals.copyHint,
          ),
        ),
      ),
    );
    this.#keys.element.hidden = !this.#settings.touchKeys;
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

  get element(): HTMLElement {
    return this.#root;
  }

  async run(request: RunRequest): Promise<RunAnswer> {
    const { hosts } = this.#options;
    const known = this.#runs.find(request.id);
    if (known === "typed") return { outcome: "duplicate", terminal: "" };
    const host = request.host ?? hosts[0] ?? "";
    const name = request.terminal ?? mainName;
    if (!hosts.includes(host)) return { outcome: "no-host", terminal: "" };
    let view =
      known === undefined
        ? this.#target(host, request.terminal)
        : this.#views.get(known.terminalId);
    if (view === undefined) {
      if (this.#current.status !== "connected") {
        return { outcome: "not-connected", terminal: name };
      }
      try {
        view = this.#views.get(await this.#open({ host, name }));
      } catch (error) {
        return { outcome: "not-opened", terminal: name, problem: this.#words(error) };
      }
      if (view === undefined) return { outcome: "not-connected", terminal: name };
    }
    const { session } = view;
    this.#select(session.entry.id);
    const terminal = this.#label(session.entry);
    await this.#connected(session);
    return { outcome: await this.#runs.send(session, request), terminal };
  }

  addTab(tab: GuestTab): TabHandle {
    this.#guests.set(tab.id, tab);
    tab.panel.classList.add("pb-terminals-panel");
    this.#panels.append(tab.panel);
    this.#tabs.add(tab.id, tab.label, tab.panel);
    return {
      select: () => this.#select(tab.id),
      setLabel: (label) => this.#tabs.setLabel(tab.id, label),
      setMark: (words) => this.#tabs.setMark(tab.id, words),
      remove: () => {
        this.#guests.delete(tab.id);
        this.#remove(tab.id);
      },
    };
  }

  setTheme(theme: ThemeName): void {
    this.#theme = theme;
    this.#root.dataset["theme"] = theme;
    for (const { screen } of this.#views.values()) screen.setTheme(theme);
  }

  focus(): void {
    const guest = this.#guests.get(this.#tabs.selected ?? "");
    if (guest !== undefined) guest.focus();
    else this.#activeView()?.screen.focus();
  }

  dispose(): void {
    this.#abort.abort();
    for (const disclosure of this.#disclosures) disclosure.dispose();
    for (const { session, screen } of this.#views.values()) {
      session.close();
      this.#runs.lost(session.entry.id);
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
    const { terminals } = this.#options.text;
    const { onFiles } = this.#options;
    const search = iconButton("search", terminals.search);
    search.addEventListener("click", () => this.#activeView()?.find.open());
    const files = create(
      "button",
      {
        type: "button",
        class: "pb-icon pb-terminals-files",
        "aria-label": terminals.files,
        title: terminals.files,
      },
      icon("files"),
    );
    files.addEventListener("click", () => onFiles?.());
    return [
      this.#newButton(),
      create("span", { class: "pb-terminals-space" }),
      ...(onFiles === undefined ? [] : [files]),
      search,
      this.#menu(),
    ];
  }

  /** Opens a terminal; where there are several hosts, asks on which one. */
  #newButton(): HTMLElement {
    const { hosts, text } = this.#options;
    const { newTerminal, newTerminalOn } = text.terminals;
    const button = iconButton("plus", newTerminal, "pb-terminals-new");
    const open = (host: string) => void this.#openNew(host);
    if (hosts.length < 2) {
      button.addEventListener("click", () => open(hosts[0] ?? ""));
      return button;
    }
    const menu = new Disclosure(button, newTerminal);
    this.#disclosures.push(menu);
    for (const host of hosts) {
      const item = create("button", { type: "button" }, fill(newTerminalOn, { host }));
      item.addEventListener("click", () => {
        menu.close(false);
        open(host);
      });
      menu.panel.append(item);
    }
    return menu.element;
  }

  #menu(): HTMLElement {
    const { terminals } = this.#options.text;
    const menu = new SettingsMenu(
      terminals,
      () => this.#settings,
      [
        [
          terminals.rename,
          () => this.#tabs.selected !== undefined && void this.#rename(this.#tabs.selected),
        ],
        [terminals.plain, () => void this.#plain()],
        [
          terminals.close,
          () => this.#tabs.selected !== undefined && this.#close(this.#tabs.selected),
        ],
      ],
      (name, value) => this.#set(name, value),
    );
    this.#disclosures.push(menu.disclosure);
    return menu.disclosure.element;
  }

  #set<Name extends keyof Settings>(name: Name, value: Settings[Name]): void {
    this.#settings = { ...this.#settings, [name]: value };
    rememberSetting(name, value);
    for (const { screen } of this.#views.values()) screen.apply(this.#settings);
    this.#keys.element.hidden = !this.#settings.touchKeys;
  }

  async #start(): Promise<void> {
    await this.#fonts();
    try {
      const entries = await this.#api.list();
      if (this.#abort.signal.aborted) return;
      for (const entry of entries) this.#addView(entry);
      const { hosts } = this.#options;
      for (const host of hosts) {
        if (entries.some((entry) => entry.host === host)) continue;
        await this.#open({ host, name: mainName });
      }
      const first = [...this.#views.values()].find(
        ({ session }) => session.entry.host === hosts[0],
      );
      if (first !== undefined) this.#select(first.session.entry.id);
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#failedToStart(error);
    }
  }

  /** xterm measures its font once, so that has to be there. */
  async #fonts(): Promise<void> {
    const family = getComputedStyle(this.#root).getPropertyValue("--pb-terminal-font").trim();
    if (family === "") return;
    const size = `${this.#settings.fontSize}px`;
    const loads = [`${size} ${family}`, `bold ${size} ${family}`].map((font) =>
      document.fonts.load(font),
    );
    const late = new Promise((resolve) => setTimeout(resolve, fontMs));
    await Promise.race([Promise.allSettled(loads), late]);
  }

  #words(error: unknown): string {
    if (error instanceof ApiError) return this.#options.text.problems[error.code] ?? error.message;
    if (error instanceof TypeError) return this.#options.text.pane.unreachable;
    return error instanceof Error ? error.message : String(error);
  }

  #failedToStart(error: unknown): void {
    const { terminals } = this.#options.text;
    const again = create("button", { type: "button" }, terminals.again);
    const veil = create(
      "div",
      { class: "pb-terminals-veil" },
      create("p", {}, this.#words(error)),
      again,
    );
    again.addEventListener("click", () => {
      veil.remove();
      this.#tell("connecting", terminals.connecting);
      void this.#start();
    });
    this.#panels.append(veil);
    this.#tell("ended", this.#words(error));
  }

  /** The terminal for a command: see `LabTerminals.run`. */
  #target(host: string, name: string | undefined): View | undefined {
    const active = this.#activeView();
    if (name === undefined && active?.session.entry.host === host) {
      const { name: given } = active.session.entry;
      if (given === undefined || given === mainName) return active;
    }
    return [...this.#views.values()].find(({ session }) => {
      const { entry, exited } = session;
      return entry.host === host && entry.name === (name ?? mainName) && !exited;
    });
  }

  async #connected(session: Session): Promise<void> {
    const deadlineMs = performance.now() + connectMs;
    while (session.state.name === "connecting" && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Resolves with the id of the terminal, in view. Throws what the API does. */
  async #open(place: { readonly host: string; readonly name?: string }): Promise<string> {
    const size = this.#activeView()?.screen.measure() ?? defaultSize;
    const entry = await this.#api.open(size, place);
    if (this.#abort.signal.aborted) return entry.id;
    // The shell of the one that had the name has ended, and the server let it go.
    for (const { session } of this.#views.values()) {
      const { id, host, name } = session.entry;
      if (name !== undefined && name === entry.name && host === entry.host && id !== entry.id) {
        this.#drop(id);
      }
    }
    if (!this.#views.has(entry.id)) this.#addView(entry);
    this.#select(entry.id);
    return entry.id;
  }

  async #openNew(host: string): Promise<void> {
    try {
      await this.#open({ host });
      this.focus();
    } catch (error) {
      this.#note(fill(this.#options.text.terminals.notOpened, { problem: this.#words(error) }));
    }
  }

  #close(id: string): void {
    const guest = this.#guests.get(id);
    if (guest === undefined) void this.#closeTerminal(id);
    else guest.onClose();
  }

  async #closeTerminal(id: string): Promise<void> {
    const view = this.#views.get(id);
    if (view === undefined) return;
    try {
      if (view.session.state.name !== "ended") await this.#api.close(id);
    } catch (error) {
      const gone = error instanceof ApiError && error.code === "terminal-not-found";
      if (!gone) {
        this.#note(fill(this.#options.text.terminals.notClosed, { problem: this.#words(error) }));
        return;
      }
    }
    const { host } = view.session.entry;
    this.#drop(id);
    if (this.#views.size > 0) return;
    try {
      await this.#open({ host, name: mainName });
      this.focus();
    } catch (error) {
      this.#failedToStart(error);
    }
  }

  #drop(id: string): void {
    const view = this.#views.get(id);
    view?.session.close();
    view?.screen.dispose();
    this.#runs.lost(id);
    this.#views.delete(id);
    this.#remove(id);
  }

  /** Takes a tab away; its neighbour comes into view. */
  #remove(id: string): void {
    const inView = this.#tabs.selected === id;
    const focused = this.#root.contains(document.activeElement);
    const next = this.#tabs.neighbour(id);
    this.#tabs.remove(id);
    if (!inView || next === undefined) return;
    this.#select(next);
    if (focused) this.#tabs.focusSelected();
  }

  async #rename(id: string): Promise<void> {
    const view = this.#views.get(id);
    if (view === undefined) return;
    const { terminals } = this.#options.text;
    const { entry } = view.session;
    const input = create("input", {
      type: "text",
      maxlength: "40",
      value: entry.title ?? "",
      placeholder: this.#ownLabel(entry),
      autocomplete: "off",
    });
    const answer = await askDialog(
      this.#root,
      fill(terminals.renameTitle, { tab: this.#label(entry) }),
      [
        create("label", {}, terminals.renameLabel, input),
        create("p", { class: "pb-dialog-hint" }, terminals.renameHint),
      ],
      [
        { value: "", label: terminals.cancel },
        { value: "save", label: terminals.save, main: true },
      ],
    );
    if (answer !== "save") return;
    try {
      view.session.entry = await this.#api.rename(id, input.value.trim());
      this.#tabs.setLabel(id, { text: this.#label(view.session.entry) });
    } catch (error) {
      this.#note(fill(terminals.notRenamed, { problem: this.#words(error) }));
    }
  }

  #ownLabel({ name, number }: TerminalEntry): string {
    return name ?? fill(this.#options.text.terminals.terminal, { n: number });
  }

  #label(entry: TerminalEntry): string {
    const label = entry.title ?? this.#ownLabel(entry);
    return this.#options.hosts.length > 1 ? `${entry.host} · ${label}` : label;
  }

  async #plain(): Promise<void> {
    const view = this.#activeView();
    if (view === undefined) return;
    await showPlainOutput(
      this.#root,
      this.#options.text.terminals,
      this.#label(view.session.entry),
      () => view.screen.text,
    );
  }

  #addView(entry: TerminalEntry): void {
    const { text } = this.#options;
    const target = create("div", {
      class: "pb-terminal",
      role: "group",
      "aria-label": fill(text.terminals.enterHint, { tab: this.#label(entry) }),
      tabindex: "0",
    });
    const veil = create("div", { class: "pb-terminals-veil", hidden: "" });
    const find = new FindBar(text.find, {
      onFind: (wanted, options, way) => screen.find(wanted, options, way),
      onClose: () => {
        screen.endSearch();
        screen.focus();
      },
    });
    const panel = create("div", { class: "pb-terminals-panel" }, target, find.element, veil);
    this.#panels.append(panel);
    this.#tabs.add(entry.id, { text: this.#label(entry) }, panel);
    // xterm measures its font, which only works in view.
    const before = this.#activeView();
    this.#guests.get(this.#tabs.selected ?? "")?.onHide();
    this.#tabs.select(entry.id);
    before?.screen.hidden();
    let session: Session | undefined;
    const screen: Screen = new Screen(
      target,
      { theme: this.#theme, settings: this.#settings },
      {
        onInput: (bytes) => {
          session?.input(bytes);
          this.#keys.typed();
        },
        onRoom: () => session?.room(),
        onTitle: (title) =>
          session !== undefined &&
          this.#tabs.setLabel(entry.id, { text: this.#label(session.entry), title }),
        onNotice: (notice: ScreenNotice) => this.#note(text.terminals[notice]),
        onBell: () => this.#rang(entry.id),
        onLink: (url) => this.#offer(url, entry.host),
        onSearch: () => find.open(),
        onMatches: (matches) => find.showMatches(matches),
      },
    );
    session = new Session(this.#api, entry, screen, {
      onState: (state) => {
        if (state.name !== "connected") this.#runs.lost(entry.id);
        this.#refresh(entry.id);
      },
      onExit: (code, signal) => this.#exited(entry.id, code, signal),
      onRunAcknowledged: (id, outcome) => this.#runs.acknowledge(id, outcome),
      onNotice: (code: NoticeCode) => this.#note(text.terminals[noticeTexts[code]]),
    });
    this.#views.set(entry.id, { session, screen, panel, find, veil });
    this.#refresh(entry.id);
  }

  #offer(url: URL, here: string): void {
    const target = targetOf(url, here, this.#options.hosts);
    void offerLink(this.#root, this.#options.text, url, target, (asked) =>
      this.#api.portLink({ ...asked, language: this.#options.text.language }),
    );
  }

  #rang(id: string): void {
    if (!this.#settings.bell) return;
    const view = this.#views.get(id);
    if (view === undefined) return;
    if (this.#tabs.selected === id) {
      view.panel.dataset["bell"] = "";
      setTimeout(() => delete view.panel.dataset["bell"], bellMs);
    } else {
      const tab = this.#label(view.session.entry);
      this.#tabs.setMark(id, fill(this.#options.text.terminals.rang, { tab }));
    }
  }

  #select(id: string): void {
    const { selected } = this.#tabs;
    const before = this.#activeView();
    const guest = this.#guests.get(id);
    if (selected !== undefined && selected !== id) this.#guests.get(selected)?.onHide();
    this.#tabs.select(id);
    const view = this.#views.get(id);
    if (before !== view) before?.screen.hidden();
    this.#root.toggleAttribute("data-guest", guest !== undefined);
    if (guest !== undefined) guest.onShow();
    if (view === undefined) return;
    this.#tabs.setMark(id, undefined);
    view.screen.shown();
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
    const { terminals } = this.#options.text;
    const state: ConnectionState = view.session.state;
    const active = this.#tabs.selected === id;
    switch (state.name) {
      case "connecting":
        if (active) this.#tell("connecting", terminals.connecting);
        return;
      case "connected":
        if (!view.session.exited) view.veil.hidden = true;
        if (active && !view.session.exited) this.#tell("connected", terminals.connected);
        return;
      case "reconnecting":
        if (active) this.#tell("reconnecting", terminals.lost);
        return;
      case "ended": {
        const gone = fill(terminals.gone, { reason: terminals.goneReason });
        this.#veil(view, gone);
        if (active) this.#tell("ended", gone);
      }
    }
  }

  #exited(id: string, code: number, signal: number): void {
    const view = this.#views.get(id);
    if (view === undefined) return;
    const { exitedCode, exitedSignal } = this.#options.text.terminals;
    const how = code === -1 ? fill(exitedSignal, { signal }) : fill(exitedCode, { code });
    this.#veil(view, how);
    if (this.#tabs.selected === id) this.#tell("ended", how);
  }

  #veil(view: View, text: string): void {
    const button = create("button", { type: "button" }, this.#options.text.terminals.newShell);
    button.addEventListener("click", () => void this.#replaceTerminal(view));
    view.veil.replaceChildren(create("p", {}, text), button);
    view.veil.hidden = false;
  }

  async #replaceTerminal(view: View): Promise<void> {
    const { id, host, name } = view.session.entry;
    try {
      // Where it has a name, the server gives that to the new one and lets the old one go.
      await this.#open({ host, ...(name !== undefined && { name }) });
    } catch (error) {
      this.#note(fill(this.#options.text.terminals.notOpened, { problem: this.#words(error) }));
      return;
    }
    if (this.#views.has(id)) await this.#closeTerminal(id);
    this.focus();
  }

  #tell(status: TerminalsStatus, text: string): void {
    this.#current = { status, text };
    this.#root.dataset["status"] = status;
    // That all is well need not be said; whoever embeds this says it.
    this.#status.textContent = status === "connected" ? "" : text;
    for (const listener of this.#listeners) listener(status, text);
  }

  /** Something of the moment, said without changing the status. */
  #note(text: string): void {
    this.#status.textContent = text;
  }
}

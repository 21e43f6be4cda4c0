import { plural } from "../../graders/core/plural.ts";
import { fill } from "../i18n/fill.ts";
import type { LabText } from "../i18n/lab.ts";
import type { LabTerminals } from "../terminal/client/index.ts";
import type { LabView } from "./api.ts";
import type { LabFiles } from "./editor/index.ts";
import { type LabPhase, type LabSession, labSession } from "./lab-session.ts";
import { labWords } from "./words.ts";

const MINUTE_MS = 60_000;

const theme = (): "light" | "dark" =>
  document.documentElement.dataset["theme"] === "light" ? "light" : "dark";

/** The pane beside a lesson; see `LabPane.astro` for its parts. */
export class LabPane extends HTMLElement {
  #session: LabSession | undefined;
  #terminals: LabTerminals | undefined;
  #files: LabFiles | undefined;
  #mounted: string | undefined;
  #byHand = false;

  connectedCallback(): void {
    const session = labSession();
    const text = labWords();
    if (session === undefined || text === undefined) return;
    this.#session = session;
    this.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-action]");
      const action = button?.dataset["action"];
      if (action === "start" || action === "retry") {
        this.#byHand = true;
        void session.start();
      }
      if (action === "ask-reset") this.#askReset(text);
      if (action === "keep") void this.#keep(session, text);
      if (action === "note-replaced") {
        session.noteReplaced();
        this.#part(".lab-replaced").hidden = true;
      }
    });
    this.#dialog.addEventListener("close", () => {
      if (this.#dialog.returnValue !== "reset") return;
      this.#byHand = true;
      this.#files?.forget();
      this.#unmount();
      void session.reset();
    });
    new MutationObserver(() => {
      this.#terminals?.setTheme(theme());
      this.#files?.setTheme(theme());
    }).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    session.onChange((phase) => void this.#show(phase, text));
    session.watch();
    if (session.wasOpened) void session.start();
  }

  get #dialog(): HTMLDialogElement {
    return this.#part<HTMLDialogElement>("dialog.lab-dialog");
  }

  #part<E extends HTMLElement>(selector: string): E {
    const part = this.querySelector<E>(selector);
    if (part === null) throw new Error(`The lab pane lacks ${selector}.`);
    return part;
  }

  #say(selector: string, words: string): void {
    const part = this.#part(selector);
    // A status that says the same again would be read again.
    if (part.textContent !== words) part.textContent = words;
  }

  async #show(phase: LabPhase, text: LabText): Promise<void> {
    const { pane } = text;
    const before = this.dataset["state"];
    this.dataset["state"] = phase.name;
    for (const card of this.querySelectorAll<HTMLElement>("[data-card]")) {
      card.hidden = card.dataset["card"] !== phase.name;
    }
    this.#part(".lab-bar [data-action=ask-reset]").hidden = !["ready", "stopped"].includes(
      phase.name,
    );
    if (phase.name !== "ready" || before !== "ready") {
      this.#say(".lab-status", pane.states[phase.name]);
    }
    this.#part(".lab-replaced").hidden = !this.#session?.replaced;
    this.#facts(phase.name === "ready" ? phase.view : undefined, text);
    switch (phase.name) {
      case "starting":
        return this.#say(".lab-step", `${this.#step(phase.step, text)} …`);
      case "waiting":
        return this.#say(".lab-place", fill(pane.waiting.place, { place: phase.place }));
      case "broken":
        this.#part('[data-card="broken"] [data-action=ask-reset]').hidden = !phase.known;
        this.#say(".lab-what", this.#word(pane.broken, phase.code) ?? pane.broken.other);
        this.#say(".lab-problem", phase.problem);
        return this.#unmount();
      case "stopped":
        this.#say(".lab-reason", this.#word(pane.stopped, phase.code) ?? "");
        return this.#unmount();
      case "ready":
        await this.#mount(phase.view, text);
    }
  }

  #step(step: string | undefined, { pane }: LabText): string {
    const [, title = "", detail] = /^(.*?)(?: \((.*)\))?$/.exec(step ?? "") ?? [];
    const words = step === undefined ? pane.starting.step : (pane.steps[title] ?? title);
    return detail === undefined ? words : `${words} (${detail})`;
  }

  /** The words for a code of the server's, where there are any. */
  #word(words: Readonly<Record<string, string>>, code: string | undefined): string | undefined {
    return code === undefined ? undefined : words[code];
  }

  /** What the status line says of a lab that runs, and the warning before it is stopped for want of use. */
  #facts(view: LabView | undefined, { language, pane }: LabText): void {
    const { engine, idleMs, idleLimitMs, stopsInMs, hosts = [] } = view ?? {};
    // Of one host every prompt says the name.
    this.#say(".lab-hosts", hosts.length > 1 ? hosts.map(({ name }) => name).join(", ") : "");
    // `26.1.5+dfsg1`: the number is Docker's, the rest is Debian's.
    const version = engine?.replace(/\+.*$/, "");
    this.#say(".lab-engine", version === undefined ? "" : fill(pane.engine, { version }));
    const known = idleMs !== undefined && idleLimitMs !== undefined;
    const limit = Math.round((idleLimitMs ?? 0) / MINUTE_MS);
    const idle = Math.floor((idleMs ?? 0) / MINUTE_MS);
    this.#say(".lab-idle", !known ? "" : idle < 1 ? pane.used : fill(pane.idle, { idle, limit }));
    const extend = this.#part(".lab-extend");
    extend.hidden = !known;
    extend.title = fill(pane.extendHint, { limit });
    const warning = this.#part(".lab-warning");
    warning.hidden = stopsInMs === undefined;
    if (stopsInMs !== undefined) {
      const time = plural(language, pane.minutes, Math.max(1, Math.round(stopsInMs / MINUTE_MS)));
      this.#say(".lab-warning-text", fill(pane.warning, { time }));
    }
    this.#part(".lab-engine-warning").hidden = engine !== null;
  }

  async #keep(session: LabSession, { pane }: LabText): Promise<void> {
    await session.keep();
    const { phase } = session;
    if (phase.name !== "ready" || phase.view.idleLimitMs === undefined) return;
    const limit = Math.round(phase.view.idleLimitMs / MINUTE_MS);
    this.#say(".lab-status", fill(pane.extended, { limit }));
  }

  #askReset({ pane }: LabText): void {
    const files = this.#files?.unsaved ?? [];
    const unsaved = this.#part(".lab-unsaved");
    unsaved.hidden = files.length === 0;
    unsaved.textContent = fill(pane.resetDialog.unsaved, { files: files.join(", ") });
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
  }

  async #mount(view: LabView, text: LabText): Promise<void> {
    const labId = view.id;
    if (this.#mounted === labId) return;
    this.#mounted = labId;
    const hosts = view.hosts.map(({ name }) => name);
    // Only now: a page without a lab does not load the terminal.
    const { mountTerminals } = await import("../terminal/client/index.ts");
    if (this.#mounted !== labId) return;
    const openFiles = async () => {
      const { LabFiles } = await import("./editor/index.ts");
      if (this.#mounted !== labId || this.#terminals === undefined) return undefined;
      this.#files ??= new LabFiles(this.#terminals, { labId, hosts, text, theme: theme() });
      return this.#files;
    };
    const terminals = mountTerminals(this.#part(".lab-terminals"), {
      ...{ labId, hosts, text, theme: theme() },
      onFiles: () => void openFiles().then((files) => files?.ask()),
    });
    this.#terminals = terminals;
    if (this.#session !== undefined) this.#session.terminals = terminals;
    terminals.onStatus((status, words) => {
      this.dataset["connection"] = status;
      this.#say(".lab-status", status === "connected" ? text.pane.states.ready : words);
      // A shell that ended by itself may be the first sign of a lab that broke.
      if (status === "ended" || status === "reconnecting") void this.#session?.look();
    });
    if (this.#byHand) terminals.focus();
    if (localStorage.getItem(`patchbay.files.${labId}`) !== null) {
      void openFiles().then((files) => files?.restore());
    }
  }

  #unmount(): void {
    this.#files?.dispose();
    this.#files = undefined;
    this.#terminals?.dispose();
    this.#terminals = undefined;
    this.#mounted = undefined;
    delete this.dataset["connection"];
    if (this.#session !== undefined) this.#session.terminals = undefined;
    this.#part(".lab-terminals").replaceChildren();
  }
}

import type { LabTerminals } from "../terminal/client/index.ts";
import { type LabPhase, type LabSession, labSession } from "./lab-session.ts";

const theme = (): "light" | "dark" =>
  document.documentElement.dataset["theme"] === "light" ? "light" : "dark";

/** The pane beside a lesson; see `LabPane.astro` for its parts. */
export class LabPane extends HTMLElement {
  #session: LabSession | undefined;
  #terminals: LabTerminals | undefined;
  #mounted: string | undefined;
  #byHand = false;

  connectedCallback(): void {
    const session = labSession();
    if (session === undefined) return;
    this.#session = session;
    this.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-action]");
      const action = button?.dataset["action"];
      if (action === "start" || action === "retry") {
        this.#byHand = true;
        void session.start();
      }
      if (action === "ask-reset") this.#dialog.showModal();
      if (action === "keep") void session.keep();
    });
    this.#dialog.addEventListener("close", () => {
      if (this.#dialog.returnValue !== "reset") return;
      this.#byHand = true;
      this.#unmount();
      void session.reset();
    });
    new MutationObserver(() => this.#terminals?.setTheme(theme())).observe(
      document.documentElement,
      { attributeFilter: ["data-theme"] },
    );
    session.onChange((phase) => void this.#show(phase));
    session.watch();
    if (session.wasOpened) void session.start();
  }

  get #dialog(): HTMLDialogElement {
    return this.#part<HTMLDialogElement>("dialog");
  }

  #part<E extends HTMLElement>(selector: string): E {
    const part = this.querySelector<E>(selector);
    if (part === null) throw new Error(`The lab pane lacks ${selector}.`);
    return part;
  }

  async #show(phase: LabPhase): Promise<void> {
    this.dataset["state"] = phase.name;
    for (const card of this.querySelectorAll<HTMLElement>("[data-card]")) {
      card.hidden = card.dataset["card"] !== phase.name;
    }
    this.#part("[data-action=ask-reset]").hidden = ["idle", "starting", "waiting"].includes(
      phase.name,
    );
    const told = {
      idle: "not started",
      starting: "starting",
      waiting: "waits for room",
      ready: "ready",
      stopped: "stopped",
      broken: "does not run",
    };
    this.#warn(phase.name === "ready" ? phase.stopsInMs : undefined);
    this.#part(".lab-status").textContent = told[phase.name];
    this.#part(".lab-name").textContent = phase.name === "ready" ? phase.hosts : "Lab";
    if (phase.name === "starting") this.#part(".lab-step").textContent = `${phase.step} …`;
    if (phase.name === "broken") this.#part(".lab-problem").textContent = phase.problem;
    if (phase.name === "waiting") this.#part(".lab-place").textContent = String(phase.place);
    if (phase.name === "stopped") {
      this.#part(".lab-reason").textContent = phase.reason;
      this.#unmount();
    }
    if (phase.name === "ready") await this.#mount(phase.id);
  }

  /** A lab is never stopped without a word before it, and time to say no. */
  #warn(stopsInMs: number | undefined): void {
    const warning = this.#part(".lab-warning");
    warning.hidden = stopsInMs === undefined;
    if (stopsInMs === undefined) return;
    const minutes = Math.max(1, Math.round(stopsInMs / 60_000));
    this.#part(".lab-minutes").textContent = minutes === 1 ? "a minute" : `${minutes} minutes`;
  }

  async #mount(labId: string): Promise<void> {
    if (this.#mounted === labId) return;
    this.#mounted = labId;
    // Only now: a page without a lab does not load the terminal.
    const { mountTerminals } = await import("../terminal/client/index.ts");
    const terminals = mountTerminals(this.#part(".lab-terminals"), { labId, theme: theme() });
    this.#terminals = terminals;
    if (this.#session !== undefined) this.#session.terminals = terminals;
    terminals.onStatus((status, text) => {
      this.#part(".lab-status").textContent = status === "connected" ? "ready" : text;
    });
    if (this.#byHand) terminals.focus();
  }

  #unmount(): void {
    this.#terminals?.dispose();
    this.#terminals = undefined;
    this.#mounted = undefined;
    if (this.#session !== undefined) this.#session.terminals = undefined;
    this.#part(".lab-terminals").replaceChildren();
  }
}

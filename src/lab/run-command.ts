import { fill } from "../i18n/fill.ts";
import { clientText } from "../lesson/words.ts";
import type { RunAnswer } from "../terminal/client/index.ts";
import { labSession } from "./lab-session.ts";
import { labWords } from "./words.ts";

/** A run that takes longer than this says what it waits for. */
const PATIENCE_MS = 300;

/**
 * A command of the lesson; see `Run.astro`. Nothing is ever queued: a command is typed now or not at all, and what
 * became of it is said in words. `data-host`, `data-terminal` and `data-interrupt` say where it goes and how.
 */
class RunCommand extends HTMLElement {
  /** Of a press whose outcome nobody knows: pressed again, it is typed once at most. */
  #unknownId: string | undefined;
  #busy = false;

  connectedCallback(): void {
    const text = labWords();
    const run = this.querySelector<HTMLElement>("[data-action=run]");
    if (text === undefined || labSession() === undefined) run?.setAttribute("hidden", "");
    run?.addEventListener("click", () => void this.#run({}));
    this.querySelector("[data-action=copy]")?.addEventListener("click", () => {
      navigator.clipboard.writeText(this.dataset["command"] ?? "").then(
        () => this.#say(clientText().run.copied),
        () => this.#say(clientText().run.copyRefused),
      );
    });
  }

  async #run(how: { readonly interrupt?: boolean; readonly anyway?: boolean }): Promise<void> {
    const text = labWords();
    const session = labSession();
    if (text === undefined || session === undefined || this.#busy) return;
    if (session.terminals === undefined) {
      if (session.phase.name === "idle") void session.start();
      this.#say(text.run.starting);
      return;
    }
    const { command = "", host, terminal, interrupt } = this.dataset;
    // Each press is a command of its own; its id keeps a reconnect from typing it twice.
    const id = this.#unknownId ?? crypto.randomUUID();
    this.#busy = true;
    const waits = fill(text.run.waiting, { terminal: terminal ?? "main" });
    const patience = setTimeout(() => this.#say(waits), PATIENCE_MS);
    try {
      const request = { id, command, host, terminal, interrupt: interrupt !== undefined, ...how };
      const answer = await session.terminals.run(request);
      this.#unknownId = answer.outcome === "unknown" ? id : undefined;
      this.#tell(answer);
    } finally {
      clearTimeout(patience);
      this.#busy = false;
    }
  }

  #tell({ outcome, terminal, problem = "" }: RunAnswer): void {
    const text = labWords();
    if (text === undefined) return;
    const { run } = text;
    const background = outcome === "typed" && this.dataset["background"] !== undefined;
    const words = background ? run.typedBackground : run[outcome];
    this.#say(fill(words, { terminal, problem, host: this.dataset["host"] ?? "" }));
    if (outcome === "no-prompt") {
      this.#offer(run.interrupt, () => void this.#run({ interrupt: true }));
      this.#offer(run.anyway, () => void this.#run({ anyway: true }));
    }
    const lab = document.querySelector<HTMLElement>("pb-lab");
    const toLab = document.querySelector<HTMLElement>('.workspace-switch [data-pane="lab"]');
    // On a narrow screen the lab is behind the lesson.
    if (lab?.offsetParent === null && toLab !== null) this.#offer(run.show, () => toLab.click());
  }

  #say(words: string): void {
    const told = this.querySelector(".run-told");
    told?.replaceChildren(words);
  }

  #offer(words: string, act: () => void): void {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "pb-button quiet";
    button.textContent = words;
    button.addEventListener("click", () => {
      // The button goes with the words that it stands in; its place is taken by Run.
      this.querySelector<HTMLElement>("[data-action=run]")?.focus();
      act();
    });
    this.querySelector(".run-told")?.append(" ", button);
  }
}

customElements.define("pb-run", RunCommand);

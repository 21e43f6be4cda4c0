import { clientText } from "../lesson/words.ts";
import { labSession } from "./lab-session.ts";

/** A command of the lesson; see `Run.astro`. Nothing is ever queued: a command is typed now or not at all. */
class RunCommand extends HTMLElement {
  connectedCallback(): void {
    const command = this.dataset["command"] ?? "";
    this.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-action]");
      const action = button?.dataset["action"];
      if (action === "run") this.#run(command);
      if (action === "copy") void this.#copy(command);
    });
  }

  async #copy(command: string): Promise<void> {
    const text = clientText().run;
    try {
      await navigator.clipboard.writeText(command);
      this.#say(text.copied);
    } catch {
      this.#say(text.copyRefused);
    }
  }

  #run(command: string): void {
    const text = clientText().run;
    const session = labSession();
    if (session?.terminals !== undefined) {
      // Each press is a command of its own; its id keeps a reconnect from typing it twice.
      this.#say(text[session.terminals.run(command, crypto.randomUUID())]);
    } else {
      if (session?.phase.name === "idle") void session.start();
      this.#say(text.starting);
    }
    const toLab = document.querySelector<HTMLElement>(".workspace-switch [data-pane=lab]");
    // On a narrow screen the lab is behind the lesson.
    if (toLab?.offsetParent == null) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "pb-button quiet";
    button.textContent = text.show;
    button.addEventListener("click", () => toLab.click());
    this.querySelector(".run-told")?.append(" ", button);
  }

  #say(words: string): void {
    const told = this.querySelector(".run-told");
    if (told !== null) told.textContent = words;
  }
}

customElements.define("pb-run", RunCommand);

import { labSession } from "./lab-session.ts";

const told = {
  sent: "Typed into the terminal.",
  duplicate: "Was typed already.",
  "not-connected": "The terminal is not connected: nothing was typed. Press again when it is.",
};

/** A command of the lesson; see `Run.astro`. Nothing is ever queued: a command is typed now or not at all. */
class RunCommand extends HTMLElement {
  connectedCallback(): void {
    const command = this.dataset["command"] ?? "";
    const status = this.querySelector(".run-told");
    const say = (text: string) => {
      if (status !== null) status.textContent = text;
    };
    this.querySelector("[data-action=run]")?.addEventListener("click", () =>
      say(this.#run(command)),
    );
    this.querySelector("[data-action=copy]")?.addEventListener("click", () => {
      navigator.clipboard.writeText(command).then(
        () => say("Copied."),
        () => say("The browser does not let this page copy: select the text instead."),
      );
    });
  }

  #run(command: string): string {
    const session = labSession();
    if (session?.terminals !== undefined) {
      // Each press is a command of its own; its id keeps a reconnect from typing it twice.
      return told[session.terminals.run(command, crypto.randomUUID())];
    }
    if (session?.phase.name === "idle") void session.start();
    return "The lab is starting. Press Run again when the prompt is there.";
  }
}

customElements.define("pb-run", RunCommand);

import { ApiError } from "../http-client/request.ts";
import { type CheckResult, type ExerciseResult, runCheck } from "./api.ts";
import { labSession } from "./lab-session.ts";

const words = {
  passed: "✔ Passed",
  failed: "✖ Not yet",
  skipped: "– Skipped",
  errored: "! No verdict",
};

function element(name: string, className: string, text: string): HTMLElement {
  const created = document.createElement(name);
  created.className = className;
  created.textContent = text;
  return created;
}

function described(check: CheckResult): HTMLLIElement {
  const item = document.createElement("li");
  item.dataset["testid"] = "check-result";
  item.dataset["status"] = check.status;
  item.dataset["check"] = check.id;
  const title = element("div", "check-title", "");
  title.append(element("span", "check-word", words[check.status]), check.title);
  item.append(title);
  const list = document.createElement("dl");
  const row = (term: string, text: string, className = "") =>
    list.append(element("dt", "", term), element("dd", className, text));
  if (check.status === "failed") {
    row("Expected", check.expected);
    row("Actual", check.actual);
    if (check.hint !== undefined) row("Hint", check.hint, "check-hint");
  } else if (check.status === "skipped") row("Because", check.because);
  else if (check.status === "errored") row("Error", check.error);
  if (list.childElementCount > 0) item.append(list);
  return item;
}

function verdict({ status, checks }: ExerciseResult): string {
  const passed = checks.filter((check) => check.status === "passed").length;
  if (status === "passed") return "Solved: every check passes.";
  if (status === "errored") {
    return "No verdict: something on our side broke. Your work was not judged. Try again, or reset the lab.";
  }
  return `Not yet: ${passed} of ${checks.length} checks pass.`;
}

/** The grader's button in a lesson; see `Check.astro`. */
class ExerciseCheck extends HTMLElement {
  connectedCallback(): void {
    this.querySelector("button")?.addEventListener("click", () => void this.#check());
  }

  async #check(): Promise<void> {
    const session = labSession();
    if (session?.phase.name !== "ready") {
      return this.#say("", "Start the lab first, and try the exercise in it.");
    }
    const button = this.querySelector("button");
    const list = this.querySelector("ol");
    if (button === null || list === null) return;
    button.disabled = true;
    list.replaceChildren();
    this.#say("running", "Looking at your lab …");
    try {
      for await (const event of runCheck(session.phase.id, this.dataset["exercise"] ?? "")) {
        if (event.type === "check") list.append(described(event.check));
        if (event.type === "result") {
          // In the order of the exercise, not in that in which checks ended.
          list.replaceChildren(...event.result.checks.map(described));
          this.#say(event.result.status, verdict(event.result));
        }
        if (event.type === "error")
          this.#say("errored", `The grader broke: ${event.error.message}`);
      }
      if (this.dataset["status"] === "running") this.#say("errored", "The answer broke off.");
    } catch (error) {
      const message =
        error instanceof ApiError ? error.message : "The course server does not answer.";
      this.#say("errored", message);
    } finally {
      button.disabled = false;
    }
  }

  #say(status: string, text: string): void {
    this.dataset["status"] = status;
    const line = this.querySelector<HTMLElement>(".check-verdict");
    if (line === null) return;
    line.dataset["status"] = status;
    line.replaceChildren();
    if (status === "running") line.append(element("span", "pb-spinner", ""), " ");
    line.append(text);
  }
}

customElements.define("pb-check", ExerciseCheck);

import { checkIn } from "../../graders/core/results.ts";
import { inLanguage, type Text } from "../../graders/core/text.ts";
import { ApiError } from "../http-client/request.ts";
import { fill } from "../i18n/fill.ts";
import { languageOf } from "../i18n/language.ts";
import { progress } from "../lesson/progress.ts";
import { clientText } from "../lesson/words.ts";
import {
  type CheckEvent,
  type CheckResult,
  type ExerciseResult,
  runCheck,
  watchCheck,
} from "./api.ts";
import { labSession } from "./lab-session.ts";
import { labWords, problemWords } from "./words.ts";

const signs = { passed: "✓", failed: "✗", skipped: "–", errored: "!" };

function element(name: string, className: string, text: string): HTMLElement {
  const created = document.createElement(name);
  created.className = className;
  created.textContent = text;
  return created;
}

const pageLanguage = () => languageOf(document.documentElement.lang);

/** What a grader says, in the page's language. */
const here = (text: Text): string => inLanguage(text, pageLanguage());

/** What went wrong with a request or with a grader, in the page's language as far as it knows the words. */
function problemOf(error: unknown): string {
  const words = labWords();
  if (words !== undefined) return problemWords(words, error);
  return error instanceof ApiError ? error.message : clientText().serverGone;
}

/** Text of a grader. What stands in columns keeps them. */
function words(text: string): HTMLElement | string {
  const lines = text.replace(/^\n+|\s+$/g, "");
  if (!/\n| {2,}/.test(lines)) return lines;
  const block = element("pre", "", lines);
  block.tabIndex = 0;
  return block;
}

function described(result: CheckResult): HTMLLIElement {
  const text = clientText().check;
  const check = checkIn(result, pageLanguage());
  const item = document.createElement("li");
  item.dataset["testid"] = "check-result";
  item.dataset["status"] = check.status;
  item.dataset["check"] = check.id;
  const row = element("div", "check-row", "");
  const sign = element("span", "check-sign", signs[check.status]);
  sign.ariaHidden = "true";
  row.append(sign, element("span", "check-what", check.title));
  row.append(element("span", "check-word", text[check.status]));
  item.append(row);
  const list = document.createElement("dl");
  const add = (term: string, said: string, className = "") => {
    const definition = element("dd", className, "");
    definition.append(words(said));
    list.append(element("dt", "", term), definition);
  };
  if (check.status === "failed") {
    add(text.expected, check.expected);
    add(text.actual, check.actual);
    if (check.hint !== undefined) add(text.hint, check.hint, "check-hint");
  } else if (check.status === "skipped") add(text.because, check.because);
  else if (check.status === "errored") add(text.error, check.error);
  if (list.childElementCount > 0) item.append(list);
  return item;
}

function verdict({ status, checks }: ExerciseResult): string {
  const text = clientText().check;
  const passed = checks.filter((check) => check.status === "passed").length;
  if (status === "passed") return text.solved;
  if (status === "errored") return text.broke;
  if (status === "skipped") {
    const skipped = checks.find((check) => check.status === "skipped");
    return fill(text.notHere, { because: here(skipped?.because ?? "") });
  }
  return fill(text.notYet, { passed, total: checks.length });
}

const when = (atMs: number) =>
  new Intl.DateTimeFormat(document.documentElement.lang, {
    dateStyle: "medium",
    timeStyle: "short",
  }).format(atMs);

/** An exercise in a lesson; see `Check.astro`. */
class ExerciseCheck extends HTMLElement {
  /** Ends the stream of rechecks. */
  #watch: AbortController | undefined;
  #onScreen = false;
  #checking = false;
  /** What is shown is from this visit. */
  #fresh = false;

  connectedCallback(): void {
    this.#button.addEventListener("click", () => void this.#check());
    this.#auto.checked = localStorage.getItem(this.#key) !== null;
    this.#auto.addEventListener("change", () => {
      if (this.#auto.checked) localStorage.setItem(this.#key, "on");
      else localStorage.removeItem(this.#key);
      this.#follow();
    });
    new IntersectionObserver(([entry]) => {
      this.#onScreen = entry?.isIntersecting ?? false;
      this.#follow();
    }).observe(this);
    document.addEventListener("visibilitychange", () => this.#follow());
    labSession()?.onChange(() => this.#follow());
    progress.onChange(({ exercises }) => {
      const known = exercises[this.#exercise];
      if (known === undefined || this.#fresh || this.#checking) return;
      const ago = fill(clientText().check.last, { when: when(known.lastAtMs) });
      this.#list.replaceChildren(...known.last.checks.map(described));
      this.#say(known.last.status, `${ago} ${verdict(known.last)}`);
    });
  }

  get #exercise(): string {
    return this.dataset["exercise"] ?? "";
  }

  get #key(): string {
    return `patchbay.recheck.${this.#exercise}`;
  }

  get #button(): HTMLButtonElement {
    return this.#part("button");
  }

  get #auto(): HTMLInputElement {
    return this.#part("input");
  }

  get #list(): HTMLOListElement {
    return this.#part("ol");
  }

  #part<E extends HTMLElement>(selector: string): E {
    const part = this.querySelector<E>(selector);
    if (part === null) throw new Error(`The exercise lacks ${selector}.`);
    return part;
  }

  async #check(): Promise<void> {
    const text = clientText();
    const session = labSession();
    if (session?.phase.name !== "ready") return this.#askForLab();
    this.#checking = true;
    this.#follow();
    this.#button.disabled = true;
    this.#list.replaceChildren();
    this.#say("running", text.check.running);
    try {
      let ended = false;
      for await (const event of runCheck(session.phase.id, this.#exercise)) {
        this.#take(event);
        ended ||= event.type === "result" || event.type === "error";
      }
      if (!ended) this.#say("errored", text.check.brokeOff);
    } catch (error) {
      this.#say("errored", problemOf(error));
    } finally {
      this.#button.disabled = false;
      this.#checking = false;
      this.#follow();
    }
  }

  #take(event: CheckEvent): void {
    if (event.type === "check") {
      this.#list.append(described(event.check));
    } else if (event.type === "progress") {
      this.#say("running", here(event.text));
    } else if (event.type === "result") {
      this.#fresh = true;
      // In the order of the exercise, not in that in which checks ended.
      this.#list.replaceChildren(...event.result.checks.map(described));
      this.#say(event.result.status, verdict(event.result));
      progress.noteResult(event.result);
    } else if (event.type === "error") {
      const { code, message } = event.error;
      const problem = problemOf(new ApiError(500, code, message));
      this.#say("errored", fill(clientText().check.graderBroke, { message: problem }));
    }
  }

  /** Rechecks run while they are wanted, the exercise is on the screen and the lab is there. */
  #follow(): void {
    const phase = labSession()?.phase;
    const wanted = this.#auto.checked && this.#onScreen && !this.#checking && !document.hidden;
    if (!wanted || phase?.name !== "ready") {
      this.#watch?.abort();
      this.#watch = undefined;
      return;
    }
    if (this.#watch !== undefined) return;
    const watch = new AbortController();
    this.#watch = watch;
    void this.#listen(phase.id, watch.signal);
  }

  async #listen(labId: string, signal: AbortSignal): Promise<void> {
    const text = clientText();
    if (!this.#fresh) this.#say("running", text.check.watching);
    let problem = text.check.brokeOff;
    try {
      for await (const event of watchCheck(labId, this.#exercise, signal)) this.#take(event);
    } catch (error) {
      problem = problemOf(error);
    }
    if (signal.aborted) return;
    this.#watch = undefined;
    this.#auto.checked = false;
    this.#say("errored", fill(text.check.lost, { message: problem }));
  }

  #askForLab(): void {
    const text = clientText().check;
    const session = labSession();
    this.#say("", text.startFirst);
    if (session?.phase.name !== "idle") return;
    const start = element("button", "pb-button quiet small", text.start);
    start.addEventListener("click", () => {
      void session.start();
      this.#say("", "");
      this.#button.focus();
    });
    this.#part(".check-verdict").append(start);
  }

  #say(status: string, said: string): void {
    this.dataset["status"] = status;
    const line = this.#part(".check-verdict");
    line.dataset["status"] = status;
    if (status !== "running" && line.textContent === said) return;
    line.replaceChildren();
    if (status === "running") line.append(element("span", "pb-spinner", ""));
    line.append(said);
  }
}

customElements.define("pb-check", ExerciseCheck);

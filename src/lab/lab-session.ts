import type { LabProblem } from "../server/labs.ts";
import type { LabTerminals } from "../terminal/client/index.ts";
import { getLab, keepLab, type LabView, openLab, resetLab } from "./api.ts";
import { LAB_KEY } from "./remembered-lab.ts";
import { labWords, problemWords } from "./words.ts";

export type LabPhase =
  | { readonly name: "idle" }
  /** `step` in the server's words; without one the lab is being asked for. */
  | { readonly name: "starting"; readonly step?: string }
  /** The machine is full; `place` in the line counts from 1. */
  | { readonly name: "waiting"; readonly place: number }
  | { readonly name: "ready"; readonly id: string; readonly view: LabView }
  | { readonly name: "stopped"; readonly code?: LabProblem }
  /** `problem` in words; `known`: there is a lab, which can be reset. */
  | {
      readonly name: "broken";
      readonly problem: string;
      readonly code?: LabProblem;
      readonly known: boolean;
    };

const POLL_MS = 400;
const WAITING_POLL_MS = 2000;
const WATCH_MS = 20_000;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The lab of this page: the one thing that the pane, Run and Check share. */
export class LabSession {
  readonly lab: string;
  /** Set by the pane while the terminals are on the page. */
  terminals: LabTerminals | undefined;
  #phase: LabPhase = { name: "idle" };
  #id: string | undefined;
  #looking = false;
  #replaced = false;
  readonly #listeners = new Set<(phase: LabPhase) => void>();

  constructor(lab: string) {
    this.lab = lab;
  }

  get phase(): LabPhase {
    return this.#phase;
  }

  onChange(listener: (phase: LabPhase) => void): void {
    this.#listeners.add(listener);
    listener(this.#phase);
  }

  /** Whether this browser has opened the lab before: then it opens by itself. */
  get wasOpened(): boolean {
    return localStorage.getItem(this.#key) !== null;
  }

  /** Whether the lab of this browser was gone when it was asked for, so that this one is new. */
  get replaced(): boolean {
    return this.#replaced;
  }

  noteReplaced(): void {
    this.#replaced = false;
  }

  get #key(): string {
    return LAB_KEY + this.lab;
  }

  async start(): Promise<void> {
    if (["starting", "waiting", "ready"].includes(this.#phase.name)) return;
    this.#set({ name: "starting" });
    const before = localStorage.getItem(this.#key);
    await this.#follow(async () => {
      const view = await openLab(this.lab);
      // Still to be said where this start fails, and the next one finds the new lab.
      this.#replaced ||= before !== null && before !== view.id;
      return view;
    });
  }

  async reset(): Promise<void> {
    const id = this.#id;
    this.#replaced = false;
    this.#set({ name: "starting", step: "Making a fresh host" });
    await this.#follow(() => (id === undefined ? openLab(this.lab) : resetLab(id)));
  }

  async #follow(ask: () => Promise<LabView>): Promise<void> {
    try {
      let view = await ask();
      this.#id = view.id;
      localStorage.setItem(this.#key, view.id);
      while (view.state === "starting" || view.state === "waiting") {
        const { state, place = 1, step } = view;
        this.#set(
          state === "waiting"
            ? { name: "waiting", place }
            : { name: "starting", ...(step !== undefined && { step }) },
        );
        await sleep(state === "waiting" ? WAITING_POLL_MS : POLL_MS);
        view = await getLab(view.id);
      }
      this.#show(view);
    } catch (error) {
      const text = labWords();
      const problem = text === undefined ? String(error) : problemWords(text, error);
      this.#set({ name: "broken", problem, known: this.#id !== undefined });
    }
  }

  /** Says that the lab is in use, so that it is not stopped. */
  async keep(): Promise<void> {
    if (this.#phase.name === "ready") this.#show(await keepLab(this.#phase.id));
  }

  /** Looks now and then whether the lab is about to stop, was stopped, or broke. */
  watch(): void {
    setInterval(() => void this.look(), WATCH_MS);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") void this.look();
    });
  }

  /** Looks now. A server that does not answer is told by the terminals. */
  async look(): Promise<void> {
    if (this.#phase.name !== "ready" || this.#looking) return;
    this.#looking = true;
    const view = await getLab(this.#phase.id).catch(() => undefined);
    this.#looking = false;
    if (view !== undefined && this.#phase.name === "ready") this.#show(view);
  }

  #show(view: LabView): void {
    const { state, problem = "" } = view;
    const code = view.problemCode === undefined ? {} : { code: view.problemCode };
    if (state === "running") this.#set({ name: "ready", id: view.id, view });
    else if (state === "stopped") this.#set({ name: "stopped", ...code });
    else if (state === "broken") this.#set({ name: "broken", problem, known: true, ...code });
    else void this.#follow(() => Promise.resolve(view));
  }

  #set(phase: LabPhase): void {
    this.#phase = phase;
    for (const listener of this.#listeners) listener(phase);
  }
}

let current: LabSession | undefined;

/** The page's session; a lesson without a lab has none. */
export function labSession(): LabSession | undefined {
  const lab = document.querySelector<HTMLElement>("pb-lab")?.dataset["lab"];
  if (lab !== undefined) current ??= new LabSession(lab);
  return current;
}

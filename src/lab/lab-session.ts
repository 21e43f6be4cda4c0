import { ApiError } from "../http-client/request.ts";
import type { LabTerminals } from "../terminal/client/index.ts";
import { getLab, type LabView, openLab, resetLab } from "./api.ts";

export type LabPhase =
  | { readonly name: "idle" }
  | { readonly name: "starting"; readonly step: string }
  | { readonly name: "ready"; readonly id: string; readonly hosts: string }
  | { readonly name: "broken"; readonly problem: string };

const POLL_MS = 400;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The lab of this page: the one thing that the pane, Run and Check share. */
export class LabSession {
  readonly lab: string;
  /** Set by the pane while the terminals are on the page. */
  terminals: LabTerminals | undefined;
  #phase: LabPhase = { name: "idle" };
  #id: string | undefined;
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

  get #key(): string {
    return `patchbay.lab.${this.lab}`;
  }

  async start(): Promise<void> {
    if (this.#phase.name === "starting" || this.#phase.name === "ready") return;
    this.#set({ name: "starting", step: "Asking for a host" });
    await this.#follow(() => openLab(this.lab));
  }

  async reset(): Promise<void> {
    const id = this.#id;
    this.#set({ name: "starting", step: "Making a fresh host" });
    await this.#follow(() => (id === undefined ? openLab(this.lab) : resetLab(id)));
  }

  async #follow(ask: () => Promise<LabView>): Promise<void> {
    try {
      let view = await ask();
      this.#id = view.id;
      localStorage.setItem(this.#key, view.id);
      while (view.state === "starting") {
        this.#set({ name: "starting", step: view.step ?? "Asking for a host" });
        await sleep(POLL_MS);
        view = await getLab(view.id);
      }
      const hosts = view.hosts.map(({ name }) => name).join(", ");
      this.#set(
        view.state === "running"
          ? { name: "ready", id: view.id, hosts }
          : { name: "broken", problem: view.problem ?? "It did not start." },
      );
    } catch (error) {
      const problem =
        error instanceof ApiError
          ? error.message
          : "The course server does not answer. Is it still running?";
      this.#set({ name: "broken", problem });
    }
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

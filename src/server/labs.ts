import { randomBytes } from "node:crypto";
import {
  type Lab,
  type LabHost,
  type ProgressListener,
  type SandboxEngine,
  SandboxError,
  topologies,
} from "../../sandbox/index.ts";
import type { TerminalGateway } from "../terminal/server/index.ts";
import { ApiError } from "./errors.ts";
import type { SessionStore } from "./sessions.ts";

/** A lab as the page sees it. */
export interface LabView {
  readonly id: string;
  /** Name of the topology. */
  readonly lab: string;
  readonly state: "starting" | "running" | "broken";
  /** What is going on while it starts. */
  readonly step?: string;
  /** What went wrong where it is broken. */
  readonly problem?: string;
  readonly hosts: readonly { readonly name: string }[];
}

type Entry = { -readonly [Key in keyof LabView]: LabView[Key] } & { handle?: Lab };

const view = ({ handle: _handle, ...rest }: Entry): LabView => rest;

/** The labs of the sessions: one of each kind per session, started in the background. */
export class LabService {
  readonly #engine: SandboxEngine;
  readonly #sessions: SessionStore;
  readonly #terminals: TerminalGateway;
  readonly #maxLabs: number;
  readonly #log: (message: string) => void;
  readonly #entries = new Map<string, Entry>();

  constructor(options: {
    readonly engine: SandboxEngine;
    readonly sessions: SessionStore;
    readonly terminals: TerminalGateway;
    readonly maxLabs: number;
    readonly log: (message: string) => void;
  }) {
    this.#engine = options.engine;
    this.#sessions = options.sessions;
    this.#terminals = options.terminals;
    this.#maxLabs = options.maxLabs;
    this.#log = options.log;
  }

  /** The session's lab of that kind, started where there is none. Never makes a second one. */
  async open(sessionId: string, topology: string): Promise<LabView> {
    if (!Object.hasOwn(topologies, topology)) {
      throw new ApiError(400, "topology-not-found", `There is no lab "${topology}".`);
    }
    const known = this.#sessions.labOf(sessionId, topology);
    if (known !== undefined) {
      // What did not start is tried again with the files that it has.
      if (this.#entries.get(known)?.state === "broken") this.#entries.delete(known);
      const existing = await this.#recover(known, topology);
      if (existing !== undefined) return view(existing);
      this.#sessions.removeLab(known);
    }
    const running = (await this.#engine.list()).length;
    // Another request of this session may have been quicker while the engine was asked.
    const meanwhile = this.#sessions.labOf(sessionId, topology);
    if (meanwhile !== undefined) return this.open(sessionId, topology);
    if (running >= this.#maxLabs) {
      throw new ApiError(
        503,
        "full",
        `All ${this.#maxLabs} labs of this machine are taken.`,
        "Try again when somebody has ended theirs.",
      );
    }
    const id = `${topology}-${randomBytes(4).toString("hex")}`;
    this.#sessions.addLab(sessionId, topology, id);
    return view(
      this.#start(id, topology, (onProgress) =>
        this.#engine.up({ topology, name: id, onProgress }),
      ),
    );
  }

  /** Throws `ApiError` 404 for a lab that is not the session's. */
  async get(sessionId: string, labId: string): Promise<LabView> {
    return view(await this.#entry(sessionId, labId));
  }

  async reset(sessionId: string, labId: string): Promise<LabView> {
    const entry = await this.#entry(sessionId, labId);
    if (entry.state === "starting") return view(entry);
    const { lab: topology } = entry;
    return view(
      this.#start(labId, topology, async (onProgress) => {
        await this.#terminals.closeLab(labId);
        try {
          return await this.#engine.reset(labId, { onProgress });
        } catch (error) {
          if (!(error instanceof SandboxError) || error.code !== "lab-not-found") throw error;
          return this.#engine.up({ topology, name: labId, onProgress });
        }
      }),
    );
  }

  /** The running lab itself. Throws `ApiError` 409 while it is not running. */
  async running(sessionId: string, labId: string): Promise<Lab> {
    const { state, handle, problem } = await this.#entry(sessionId, labId);
    if (state === "running" && handle !== undefined) return handle;
    const message =
      state === "starting" ? "The lab is still starting." : `The lab is broken: ${problem}`;
    throw new ApiError(409, `lab-${state}`, message, "Wait for it, or reset the lab.");
  }

  async host(sessionId: string, labId: string): Promise<LabHost> {
    return (await this.running(sessionId, labId)).host();
  }

  /** Ends terminals of labs that are gone, whoever ended them. */
  async sweepTerminals(): Promise<void> {
    const kept = await this.#terminals.labs();
    if (kept.length === 0) return;
    const running = new Set((await this.#engine.list()).map(({ id }) => id));
    const gone = kept.filter(
      (id) => !running.has(id) && this.#entries.get(id)?.state !== "starting",
    );
    for (const id of gone) await this.#terminals.closeLab(id);
  }

  async #entry(sessionId: string, labId: string): Promise<Entry> {
    const topology = this.#sessions.topologyOf(sessionId, labId);
    const entry = topology === undefined ? undefined : await this.#recover(labId, topology);
    if (entry !== undefined) return entry;
    throw new ApiError(404, "lab-not-found", "There is no such lab.", "Start the lab again.");
  }

  /** What is known of a lab, also after a restart of this server; `undefined` where it is gone. */
  async #recover(labId: string, topology: string): Promise<Entry | undefined> {
    const known = this.#entries.get(labId);
    if (known !== undefined && known.state !== "running") return known;
    try {
      const found = await this.#engine.find(labId);
      const meanwhile = this.#entries.get(labId);
      if (meanwhile !== undefined && meanwhile !== known) return meanwhile;
      if (found.state === "running") {
        // Containers made anew by another command, `patchbay lab reset`, are another handle.
        return this.#set({
          id: labId,
          lab: topology,
          state: "running",
          hosts: found.hosts,
          handle: found,
        });
      }
      return this.#start(labId, topology, () => this.#engine.start(labId));
    } catch (error) {
      if (!(error instanceof SandboxError) || error.code !== "lab-not-found") throw error;
      this.#entries.delete(labId);
      return undefined;
    }
  }

  #set(entry: Entry): Entry {
    this.#entries.set(entry.id, entry);
    return entry;
  }

  #start(
    labId: string,
    topology: string,
    work: (onProgress: ProgressListener) => Promise<Lab>,
  ): Entry {
    const entry = this.#set({ id: labId, lab: topology, state: "starting", hosts: [] });
    work(({ title, detail }) => {
      entry.step = detail === undefined ? title : `${title} (${detail})`;
    }).then(
      (lab) => {
        this.#set({ id: labId, lab: topology, state: "running", hosts: lab.hosts, handle: lab });
      },
      (error: Error) => {
        this.#log(`lab ${labId} did not start: ${error.stack ?? error.message}`);
        this.#set({ id: labId, lab: topology, state: "broken", hosts: [], problem: error.message });
      },
    );
    return entry;
  }
}

import { randomBytes } from "node:crypto";
import {
  type Lab,
  type LabHost,
  type ProgressListener,
  type SandboxEngine,
  SandboxError,
} from "../../sandbox/index.ts";
import { TerminalError, type TerminalGateway } from "../terminal/server/index.ts";
import { attempt } from "./database.ts";
import { ApiError } from "./errors.ts";
import type { SessionStore } from "./sessions.ts";

export type LabProblem =
  | "unused" // stopped, since nobody used it
  | "shut-down" // from inside, or by the operator
  | "host-down" // some of its hosts do not run
  | "engine-down" // runs, but an engine in it does not answer
  | "start-failed";

/** A lab as the page sees it. */
export interface LabView {
  readonly id: string;
  /** Name of the topology. */
  readonly lab: string;
  /** `waiting`: the machine is full. `stopped`: nothing runs, the files are there. */
  readonly state: "waiting" | "starting" | "running" | "stopped" | "broken";
  /** Place in the line while it waits, from 1. */
  readonly place?: number;
  /** What is going on while it starts. */
  readonly step?: string;
  /** What went wrong, or why it was stopped, in English. */
  readonly problem?: string;
  /** The same for a page that has words of its own. */
  readonly problemCode?: LabProblem;
  /** Version of the engine in it while it runs; `null` where that does not answer, on any of the hosts. */
  readonly engine?: string | null;
  /** Since somebody used it, milliseconds; while it runs. */
  readonly idleMs?: number;
  /** After so long without use it is stopped, milliseconds; while it runs. */
  readonly idleLimitMs?: number;
  /** Time until it stops unless somebody uses it, milliseconds; only where that is near. */
  readonly stopsInMs?: number;
  readonly hosts: readonly { readonly name: string }[];
}

export interface LabSettings {
  /** Labs that may run at once. */
  readonly maxLabs: number;
  /** Labs that wait ready for whoever comes next. */
  readonly warmLabs: number;
  /** A lab that nobody uses for so long is stopped. */
  readonly idleMs: number;
  /** A lab that nobody used for so long is removed with its files. */
  readonly keepMs: number;
}

interface Entry {
  readonly id: string;
  readonly lab: string;
  state: LabView["state"];
  step?: string;
  problem?: { readonly code: LabProblem; readonly text: string } | undefined;
  hosts: LabView["hosts"];
  handle?: Lab;
  /** What its engines said when they were asked last. */
  engines?: { readonly version: string | null; readonly down: readonly string[]; atMs: number };
  /** Its containers are being ended by this server. */
  stopping?: boolean;
  /** Begins its start once there is room; set while it waits. */
  begin?: () => void;
  /** By the monotonic clock: a laptop's sleep and a changed clock are nobody's idleness. */
  lastUsedMs: number;
  /** When the page last asked: who left the line gives up the place. */
  lastSeenMs: number;
}

const STARTS_AT_ONCE = 2;
const ABANDONED_MS = 60_000;
const WARNING_SHARE = 0.1;
const MAX_WARNING_MS = 10 * 60_000;
const MARK_USED_MS = 60_000;
/** Pages ask often; engines are asked no more than this. */
const ENGINES_AGE_MS = 5000;
const ENGINE_TIMEOUT_MS = 1500;
const NEEDED_DISK_BYTES = 2 ** 30;

/** What an engine in a lab calls its version; that, too, is only a claim. */
function versionOf(body: unknown): string | undefined {
  const { Version } = (body ?? {}) as { Version?: unknown };
  return typeof Version === "string" ? Version.slice(0, 40) : undefined;
}

function problemOf({ state, problem, engines }: Entry): Entry["problem"] {
  if (state !== "running" || engines === undefined || engines.down.length === 0) return problem;
  const text = `The Docker engine on ${engines.down.join(" and ")} does not answer. It starts again by itself after a crash; if it stays so, reset the lab.`;
  return { code: "engine-down", text };
}

/** The labs of the sessions: one of each kind per session, started in the background. */
export class LabService {
  readonly #engine: SandboxEngine;
  readonly #sessions: SessionStore;
  readonly #terminals: TerminalGateway;
  readonly #settings: LabSettings;
  readonly #log: (message: string) => void;
  readonly #entries = new Map<string, Entry>();
  /** Who waits for room, first come first. */
  readonly #line: Entry[] = [];
  readonly #starts = new Set<Promise<unknown>>();
  #admitting: Promise<void> | undefined;
  #warming: Promise<void> | undefined;
  #lastTopology = "iptables";
  /** Topologies of which labs may wait warm. */
  readonly #warmed = new Set<string>();
  #draining = false;

  constructor(options: {
    readonly engine: SandboxEngine;
    readonly sessions: SessionStore;
    readonly terminals: TerminalGateway;
    readonly settings: LabSettings;
    readonly log: (message: string) => void;
  }) {
    this.#engine = options.engine;
    this.#sessions = options.sessions;
    this.#terminals = options.terminals;
    this.#settings = options.settings;
    this.#log = options.log;
  }

  /** The session's lab of that kind, started where it does not run. Never makes a second one. */
  async open(sessionId: string, topology: string): Promise<LabView> {
    if (!Object.hasOwn(this.#engine.topologies, topology)) {
      throw new ApiError(400, "topology-not-found", `There is no lab "${topology}".`);
    }
    if (this.#draining) {
      throw new ApiError(503, "stopping", "The course server is stopping.", "Try again soon.");
    }
    const known = this.#sessions.labOf(sessionId, topology);
    if (known === undefined) {
      const id = `${topology}-${randomBytes(4).toString("hex")}`;
      this.#sessions.addLab(sessionId, topology, id);
      return this.#enqueue(id, topology, (onProgress) =>
        this.#engine.up({ topology, name: id, onProgress }),
      );
    }
    const entry = await this.#recover(known, topology);
    if (entry === undefined) {
      this.#sessions.removeLab(known);
      return this.open(sessionId, topology);
    }
    this.#use(entry);
    // What did not start, or was stopped, is tried again with the files that it has.
    if (entry.state !== "broken" && entry.state !== "stopped") return this.#view(entry);
    return this.#enqueue(known, topology, (onProgress) =>
      this.#revive(known, topology, onProgress),
    );
  }

  /** Throws `ApiError` 404 for a lab that is not the session's. */
  async get(sessionId: string, labId: string): Promise<LabView> {
    const entry = await this.#entry(sessionId, labId);
    entry.lastSeenMs = performance.now();
    await this.#askEngines(entry);
    return this.#view(entry);
  }

  /** Whether there is such a lab, and it is the session's. */
  has(sessionId: string, labId: string): boolean {
    return this.#sessions.topologyOf(sessionId, labId) !== undefined;
  }

  /** Somebody says that the lab is in use, though nothing is typed. */
  async keep(sessionId: string, labId: string): Promise<LabView> {
    const entry = await this.#entry(sessionId, labId);
    this.#use(entry);
    await this.#askEngines(entry);
    return this.#view(entry);
  }

  /** Somebody typed in a terminal of the lab. */
  used(labId: string): void {
    const entry = this.#entries.get(labId);
    if (entry !== undefined) this.#use(entry);
  }

  /** The start state again, with as many terminals as before. */
  async reset(sessionId: string, labId: string): Promise<LabView> {
    const entry = await this.#entry(sessionId, labId);
    if (entry.state === "starting" || entry.state === "waiting") return this.#view(entry);
    const { lab: topology } = entry;
    // Terminals of an older version can't be listed; they end with their shells.
    const tabs = await this.#terminals.list(labId).catch((error) => {
      if (!(error instanceof TerminalError) || error.code !== "keeper-version") throw error;
      return [];
    });
    // Its place on the machine is its own: no line.
    return this.#view(
      this.#start(this.#fresh(labId, topology), async (onProgress) => {
        await this.#terminals.closeLab(labId);
        const lab = await this.#engine.reset(labId, { onProgress }).catch((error) => {
          if (!(error instanceof SandboxError) || error.code !== "lab-not-found") throw error;
          return this.#engine.up({ topology, name: labId, onProgress });
        });
        for (const { columns, rows, ...place } of tabs) {
          const command = (terminalId: string) => lab.host(place.host).shellCommand({ terminalId });
          await this.#terminals.open(labId, command, { columns, rows }, place);
        }
        return lab;
      }),
    );
  }

  /** The running lab itself. Throws `ApiError` 409 while it is not running. */
  async running(sessionId: string, labId: string): Promise<Lab> {
    const entry = await this.#entry(sessionId, labId);
    this.#use(entry);
    const { state, handle, problem } = entry;
    if (state === "running" && handle !== undefined) return handle;
    const messages = {
      waiting: "The lab waits for room on the machine.",
      starting: "The lab is still starting.",
      stopped: "The lab is stopped.",
      broken: `The lab is broken: ${problem?.text}`,
      running: "The lab is not known yet.",
    };
    throw new ApiError(409, `lab-${state}`, messages[state], "Start it, wait for it, or reset it.");
  }

  /** Without a name: the lab's first host. Throws `SandboxError` `host-not-found`. */
  async host(sessionId: string, labId: string, name?: string): Promise<LabHost> {
    return (await this.running(sessionId, labId)).host(name);
  }

  /** Lets in who waits, as far as the machine has room, and sees to the warm labs. Call it often. */
  async admit(): Promise<void> {
    this.#admitting ??= this.#admit().finally(() => {
      this.#admitting = undefined;
    });
    await this.#admitting;
  }

  /** Stops labs that nobody uses, ends those that nobody wants any more, removes what was left behind. */
  async tidy(): Promise<void> {
    for (const entry of this.#entries.values()) {
      if (entry.state !== "running" || this.#idleFor(entry) <= this.#settings.idleMs) continue;
      // One that can't be stopped must not keep the others running.
      await this.#stop(entry).catch((error: Error) => {
        this.#log(`lab ${entry.id} did not stop: ${error.stack ?? error.message}`);
      });
    }
    for (const { id, lastUsedAtMs } of this.#sessions.labs()) {
      const state = this.#entries.get(id)?.state;
      const busy = state === "running" || state === "starting" || state === "waiting";
      if (busy || Date.now() - lastUsedAtMs < this.#settings.keepMs) continue;
      try {
        this.#entries.delete(id);
        await this.#engine.down(id).catch((error) => {
          if (!(error instanceof SandboxError) || error.code !== "lab-not-found") throw error;
        });
        this.#sessions.removeLab(id);
      } catch (error) {
        this.#log(`lab ${id} was not removed: ${(error as Error).stack ?? error}`);
      }
    }
    for (const removed of await this.#engine.sweep()) this.#log(`removed: ${removed}`);
    await this.#sweepTerminals();
  }

  /** Takes no new labs any more; resolves when those that start have started. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#line.length = 0;
    await Promise.allSettled([...this.#starts, this.#warming]);
  }

  /** Ends terminals of labs that are gone or stopped, whoever ended them. */
  async #sweepTerminals(): Promise<void> {
    const kept = await this.#terminals.labs();
    if (kept.length === 0) return;
    const labs = await this.#engine.list();
    const running = new Set(labs.filter(({ state }) => state !== "stopped").map(({ id }) => id));
    const gone = kept.filter(
      (id) => !running.has(id) && this.#entries.get(id)?.state !== "starting",
    );
    for (const id of gone) await this.#terminals.closeLab(id);
  }

  #view(entry: Entry): LabView {
    const { id, lab, state, step, hosts } = entry;
    const problem = problemOf(entry);
    return {
      ...{ id, lab, state, hosts },
      ...(state === "waiting" && { place: this.#line.indexOf(entry) + 1 }),
      ...(step !== undefined && { step }),
      ...(problem !== undefined && { problem: problem.text, problemCode: problem.code }),
      ...(state === "running" && this.#useOf(entry)),
    };
  }

  #useOf(entry: Entry): Pick<LabView, "engine" | "idleMs" | "idleLimitMs" | "stopsInMs"> {
    const { idleMs: idleLimitMs } = this.#settings;
    const idleMs = Math.round(this.#idleFor(entry));
    const leftMs = idleLimitMs - idleMs;
    const warningMs = Math.min(MAX_WARNING_MS, idleLimitMs * WARNING_SHARE);
    return {
      ...(entry.engines !== undefined && { engine: entry.engines.version }),
      ...{ idleMs, idleLimitMs },
      ...(leftMs < warningMs && { stopsInMs: Math.max(0, leftMs) }),
    };
  }

  /** Whether the engines in a lab answer, and which version they are. */
  async #askEngines(entry: Entry): Promise<void> {
    const { state, handle, engines } = entry;
    if (state !== "running" || handle === undefined) return;
    // One that did not answer may be back the next moment.
    const known = engines !== undefined && engines.version !== null;
    if (known && performance.now() - engines.atMs < ENGINES_AGE_MS) return;
    const asked = await Promise.all(
      handle.hosts.map(async ({ name }) => {
        const engine = handle.host(name).innerEngine();
        const answer = await engine
          .request({ path: "/version", timeoutMs: ENGINE_TIMEOUT_MS })
          .catch((error) => {
            if (error instanceof SandboxError) return undefined;
            throw error;
          });
        return { name, version: answer?.status === 200 ? versionOf(answer.body) : undefined };
      }),
    );
    const down = asked.filter(({ version }) => version === undefined).map(({ name }) => name);
    const version = down.length > 0 ? null : (asked[0]?.version ?? null);
    entry.engines = { version, down, atMs: performance.now() };
  }

  #use(entry: Entry): void {
    const now = performance.now();
    if (now - entry.lastUsedMs > MARK_USED_MS) this.#markUsed(entry.id);
    entry.lastUsedMs = now;
    entry.lastSeenMs = now;
  }

  #markUsed(labId: string): void {
    attempt(this.#log, `lab ${labId} was used`, () => this.#sessions.markUsed(labId));
  }

  #idleFor(entry: Entry): number {
    return performance.now() - entry.lastUsedMs;
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
    if (known !== undefined && known.state !== "running" && known.state !== "stopped") return known;
    try {
      const found = await this.#engine.find(labId);
      const meanwhile = this.#entries.get(labId);
      if (meanwhile !== undefined && meanwhile !== known) return meanwhile;
      // What its containers say while they end is no news.
      if (known?.stopping) return known;
      const entry = known ?? this.#fresh(labId, topology);
      if (found.state === "running") {
        // Containers made anew by another command, `patchbay lab reset`, are another handle.
        entry.handle = found;
        entry.hosts = found.hosts;
        entry.problem = undefined;
      }
      if (entry.state === "running" && found.state === "stopped") {
        const text = "It was shut down: from inside, or by who runs the course.";
        entry.problem = { code: "shut-down", text };
      }
      entry.state = found.state === "starting" ? "stopped" : found.state;
      if (found.problem !== undefined) entry.problem = { code: "host-down", text: found.problem };
      return entry;
    } catch (error) {
      if (!(error instanceof SandboxError) || error.code !== "lab-not-found") throw error;
      this.#entries.delete(labId);
      return undefined;
    }
  }

  /** Brings back a lab with its files; a new one where it is gone. */
  async #revive(id: string, topology: string, onProgress: ProgressListener): Promise<Lab> {
    onProgress({ title: "Bringing back your lab with its files" });
    // Shells ended with what they ran in, however that came to an end.
    for (const terminal of await this.#terminals.list(id).catch(() => [])) {
      if (terminal.exited !== undefined) await this.#terminals.close(id, terminal.id);
    }
    try {
      return await this.#engine.start(id);
    } catch (error) {
      if (!(error instanceof SandboxError) || error.code !== "lab-not-found") throw error;
      return this.#engine.up({ topology, name: id, onProgress });
    }
  }

  #fresh(id: string, lab: string): Entry {
    const now = performance.now();
    const entry: Entry = {
      id,
      lab,
      state: "starting",
      hosts: [],
      lastUsedMs: now,
      lastSeenMs: now,
    };
    this.#entries.set(id, entry);
    return entry;
  }

  /** Puts a lab into the line; where there is room it starts at once. */
  async #enqueue(
    labId: string,
    topology: string,
    work: (onProgress: ProgressListener) => Promise<Lab>,
  ): Promise<LabView> {
    const entry = this.#fresh(labId, topology);
    entry.state = "waiting";
    entry.begin = () => this.#start(entry, work);
    this.#line.push(entry);
    this.#lastTopology = topology;
    await this.admit();
    return this.#view(entry);
  }

  async #admit(): Promise<void> {
    const now = performance.now();
    for (const entry of this.#line.filter(({ lastSeenMs }) => now - lastSeenMs > ABANDONED_MS)) {
      this.#line.splice(this.#line.indexOf(entry), 1);
      this.#entries.delete(entry.id);
    }
    for (let next = this.#line[0]; next !== undefined && !this.#draining; next = this.#line[0]) {
      if (this.#starts.size >= STARTS_AT_ONCE) return;
      if (!(await this.#hasRoom([next.lab]))) return this.#coolOthers(next.lab);
      this.#line.shift()?.begin?.();
    }
    // Never at the expense of somebody who waits or starts.
    if (this.#starts.size === 0 && !this.#draining && this.#settings.warmLabs > 0) {
      this.#warming ??= this.#warm().finally(() => {
        this.#warming = undefined;
      });
    }
  }

  /** Whether the machine can take labs of these topologies more, by what was measured on it. */
  async #hasRoom(wanted: readonly string[]): Promise<boolean> {
    const all = await this.#engine.list();
    const running = new Set(all.filter(({ state }) => state !== "stopped").map(({ id }) => id));
    const starting = [...this.#entries.values()].filter(({ state }) => state === "starting");
    for (const { id } of starting) running.add(id);
    if (running.size + wanted.length > this.#settings.maxLabs) return false;
    const { memoryBytes, diskBytes } = await this.#engine.room();
    // Those that start have not taken their memory yet.
    const needed = [...wanted, ...starting.map(({ lab }) => lab)].map(
      (name) => this.#engine.topologies[name]?.startMemoryBytes ?? 0,
    );
    return (
      memoryBytes > needed.reduce((sum, bytes) => sum + bytes, 0) &&
      diskBytes > wanted.length * NEEDED_DISK_BYTES
    );
  }

  async #warm(): Promise<void> {
    const topology = this.#lastTopology;
    try {
      // Room for those that wait warm, and for one more student.
      const room = await this.#hasRoom(Array(this.#settings.warmLabs + 1).fill(topology));
      await this.#engine.keepWarm(topology, room ? this.#settings.warmLabs : 0);
      this.#warmed.add(topology);
      if (!room) await this.#coolOthers(topology);
    } catch (error) {
      this.#log(`warm labs: ${(error as Error).stack}`);
    }
  }

  /** Labs that wait warm for nobody give their memory to whoever wants another kind. */
  async #coolOthers(wanted: string): Promise<void> {
    for (const topology of this.#warmed) {
      if (topology === wanted) continue;
      await this.#engine.keepWarm(topology, 0);
      this.#warmed.delete(topology);
    }
  }

  async #stop(entry: Entry): Promise<void> {
    this.#markUsed(entry.id);
    entry.state = "stopped";
    entry.problem = { code: "unused", text: "Nobody used it for a while." };
    entry.stopping = true;
    try {
      await this.#terminals.closeLab(entry.id);
      await this.#engine.stop(entry.id);
    } finally {
      entry.stopping = false;
    }
  }

  #start(entry: Entry, work: (onProgress: ProgressListener) => Promise<Lab>): Entry {
    entry.state = "starting";
    const done = work(({ title, detail }) => {
      entry.step = detail === undefined ? title : `${title} (${detail})`;
    }).then(
      (lab) => {
        const { id, lab: topology } = entry;
        const running: Entry = { ...this.#fresh(id, topology), state: "running", hosts: lab.hosts };
        this.#entries.set(id, { ...running, handle: lab });
      },
      (error: Error) => {
        this.#log(`lab ${entry.id} did not start: ${error.stack ?? error.message}`);
        entry.state = "broken";
        entry.problem = { code: "start-failed", text: error.message };
      },
    );
    const settled = done.finally(() => {
      this.#starts.delete(settled);
      void this.admit().catch((error: Error) => this.#log(`line: ${error.stack}`));
    });
    this.#starts.add(settled);
    return entry;
  }
}

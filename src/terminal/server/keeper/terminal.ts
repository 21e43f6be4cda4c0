/** A PTY, its screen and its viewers. */
import type { PtyCommand } from "../../../../sandbox/index.ts";
import {
  type ClientMessage,
  closeCodes,
  decodeClientMessage,
  type RunOutcome,
  type TerminalSize,
} from "../../protocol.ts";
import type { TerminalInfo, TerminalPlace } from "../control.ts";
import { TerminalError } from "../errors.ts";
import { Mirror } from "./mirror.ts";
import { OutputGatherer, outputOffset } from "./output-gatherer.ts";
import { Pty } from "./pty.ts";
import { clearLine, typeCommand } from "./typed-command.ts";
import type { Viewer } from "./viewer.ts";

/** Viewers of one terminal, at most. */
export const maxViewers = 64;
/** Run ids that a terminal remembers; far more than a lesson has commands. */
const rememberedRunIds = 10_000;
/** Scrollback in the snapshot of a viewer that was too slow: it is catching up, keep it short. */
const resyncScrollbackLines = 200;
/** What a program that nobody watches may write in each window: 5 MB/s, so `yes` burns no core. */
const unwatchedBytes = 512 * 1024;
const unwatchedWindowMs = 100;

const controlC = 0x03;
const lineEnds = [0x0a, 0x0d];
/** A fresh shell shows its first prompt within this time. */
const firstPromptMs = 10_000;
/** A command that is about to end has this long: who pressed a moment too early need not press again. */
const graceMs = 400;
/** What takes longer to end on Ctrl-C does not end on it. */
const interruptMs = 3_000;
/** While a run waits for a prompt, it is looked for each so often, and with each output. */
const promptPollMs = 50;

/** A `run` that waits for a prompt. */
interface WaitingRun {
  readonly viewer: Viewer;
  readonly id: string;
  readonly command: string;
  readonly untilMs: number;
}

export class Terminal {
  readonly id: string;
  readonly #number: number;
  #place: TerminalPlace;
  readonly #pty: Pty;
  readonly #mirror: Mirror;
  readonly #gatherer: OutputGatherer;
  readonly #viewers = new Set<Viewer>();
  readonly #runIds = new Set<string>();
  readonly #openedMs = performance.now();
  #waitingRun: WaitingRun | undefined;
  #promptTimer: NodeJS.Timeout | undefined;
  /** What the screen had shown when a line was entered last; a prompt after that is a new one. */
  #entered = { lineFeeds: 0, prompts: 0 };
  #sawPrompt = false;
  #size: TerminalSize;
  #exit: { readonly code: number; readonly signal: number } | undefined;
  #unwatchedBytes = 0;
  #unwatchedTimer: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #whenEnded = Promise.withResolvers<void>();

  /** Throws what the kernel said where no PTY can be had. */
  constructor(
    identity: TerminalPlace & { readonly id: string; readonly number: number },
    command: PtyCommand,
    size: TerminalSize,
  ) {
    const { id, number, ...place } = identity;
    this.id = id;
    this.#number = number;
    this.#place = place;
    this.#size = size;
    this.#mirror = new Mirror(size, {
      onReply: (text) => this.#pty.write(Buffer.from(text, "utf8")),
      onBacklog: () => this.#updateFlow(),
    });
    this.#gatherer = new OutputGatherer((frame) => this.#output(frame));
    this.#pty = new Pty(command, size, {
      onOutput: (chunk) => {
        if (this.#closed) return;
        if (this.#viewers.size === 0) this.#countUnwatched(chunk.byteLength);
        this.#gatherer.push(chunk);
      },
      onExit: (exit) => this.#ended(exit),
    });
  }

  get info(): TerminalInfo {
    return {
      id: this.id,
      number: this.#number,
      ...this.#place,
      ...this.#size,
      ...(this.#exit === undefined ? {} : { exited: { code: this.#exit.code } }),
    };
  }

  get place(): TerminalPlace {
    return this.#place;
  }

  /** An empty title takes it away. */
  set title(title: string) {
    const { title: _before, ...place } = this.#place;
    this.#place = title === "" ? place : { ...place, title };
  }

  /** The shell has ended. */
  get ended(): boolean {
    return this.#exit !== undefined;
  }

  /** The shell has ended, and nobody looks at what it left. */
  get abandoned(): boolean {
    return this.#exit !== undefined && this.#viewers.size === 0;
  }

  /** Shows the screen to one more viewer. Throws `TerminalError` `too-many-viewers`. */
  attach(viewer: Viewer): void {
    if (this.#viewers.size >= maxViewers) {
      throw new TerminalError(
        "too-many-viewers",
        `${maxViewers} windows show this terminal already: close one of them`,
      );
    }
    this.#gatherer.flush();
    viewer.sendSnapshot("attach", this.#mirror.snapshot());
    if (this.#exit !== undefined) viewer.send({ type: "exited", ...this.#exit });
    this.#viewers.add(viewer);
    this.#unwatchedBytes = 0;
    this.#updateFlow();
  }

  detach(viewer: Viewer): void {
    if (!this.#viewers.delete(viewer)) return;
    // Nobody would be told that it was typed.
    if (this.#waitingRun?.viewer === viewer) this.#waitingRun = undefined;
    this.#updateSize();
    this.#updateFlow();
  }

  /** To be called when a viewer's socket has less to write than before. */
  viewerDrained(): void {
    this.#updateFlow();
  }

  /** One message from a viewer. Throws `ProtocolError` on anything outside the codec. */
  receive(viewer: Viewer, message: Buffer): void {
    const decoded: ClientMessage = decodeClientMessage(message);
    switch (decoded.type) {
      case "input":
        this.#input(viewer, decoded.bytes);
        return;
      case "run": {
        const outcome = this.#run(viewer, decoded);
        if (outcome !== "later") this.#acknowledge(viewer, decoded.id, outcome);
        return;
      }
      case "resize":
        viewer.size = { columns: decoded.columns, rows: decoded.rows };
        this.#updateSize();
        return;
      case "ack":
        viewer.acknowledge(decoded.bytes);
        this.#updateFlow();
        return;
      case "ping":
        viewer.send({ type: "pong", token: decoded.token });
    }
  }

  /** Ends the process and tells the viewers. Resolves when the process is gone. */
  close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#unwatchedTimer);
    this.#settleRun("ended");
    for (const viewer of this.#viewers) {
      viewer.close(closeCodes.terminalClosed, "this terminal was closed");
    }
    this.#viewers.clear();
    if (this.#exit === undefined) this.#pty.kill();
    this.#gatherer[Symbol.dispose]();
    this.#mirror[Symbol.dispose]();
    return this.#whenEnded.promise;
  }

  #input(viewer: Viewer, bytes: Uint8Array): void {
    if (this.#exit !== undefined) return;
    // The kernel forgets its own waiting input on Ctrl-C; ours would stand in front of the key.
    if (bytes.byteLength === 1 && bytes[0] === controlC && this.#pty.pendingInputBytes > 0) {
      const dropped = this.#pty.dropPendingInput();
      viewer.send({
        type: "notice",
        code: "input-dropped",
        text: `Ctrl-C: ${dropped} bytes of input that waited were dropped.`,
      });
    }
    if (bytes.some((byte) => lineEnds.includes(byte))) this.#noteEntered();
    if (this.#pty.write(bytes)) return;
    viewer.send({
      type: "notice",
      code: "input-refused",
      text: "The program does not read its input, and too much of it waits already: the rest was not sent. Ctrl-C drops what waits.",
    });
  }

  /** `later`: it waits for a prompt, and is acknowledged then. */
  #run(
    viewer: Viewer,
    { id, command, interrupt, anyway }: Extract<ClientMessage, { type: "run" }>,
  ): RunOutcome | "later" {
    if (this.#runIds.has(id)) return "duplicate";
    if (this.#waitingRun?.id === id) {
      // The same one again, over another connection: it is told the outcome.
      this.#waitingRun = { ...this.#waitingRun, viewer };
      return "later";
    }
    if (this.#exit !== undefined) return "ended";
    this.#gatherer.flush();
    if (this.#mirror.fullScreen) return "full-screen";
    if (anyway) return this.#type(id, command, false);
    if (this.#waitingRun !== undefined) return "no-prompt";
    if (this.#atPrompt) return this.#type(id, command, true);
    const nowMs = performance.now();
    let untilMs = nowMs + graceMs;
    if (!this.#sawPrompt) untilMs = Math.max(untilMs, this.#openedMs + firstPromptMs);
    if (interrupt) {
      this.#pty.dropPendingInput();
      this.#noteEntered();
      this.#pty.write(Buffer.from([controlC]));
      untilMs = nowMs + interruptMs;
    }
    this.#waitingRun = { viewer, id, command, untilMs };
    this.#lookForPrompt();
    return "later";
  }

  #type(id: string, command: string, atPrompt: boolean): RunOutcome {
    const typed = typeCommand(command, this.#mirror.bracketedPaste);
    if (!this.#pty.write(atPrompt ? Buffer.concat([clearLine, typed]) : typed)) return "busy";
    this.#noteEntered();
    this.#runIds.add(id);
    const [oldest] = this.#runIds;
    if (this.#runIds.size > rememberedRunIds && oldest !== undefined) this.#runIds.delete(oldest);
    return "typed";
  }

  /** Whether a shell, or something like one, waits for a new command. */
  get #atPrompt(): boolean {
    const { prompts, lineFeeds, prompt } = this.#mirror;
    const entered = this.#entered;
    // Readline asks for marked pastes while it waits, and for unmarked ones while a command runs.
    const waits =
      prompt === "readline"
        ? prompts > entered.prompts
        : lineFeeds > entered.lineFeeds || !this.#sawPrompt;
    if (prompt === undefined || !waits) return false;
    this.#sawPrompt = true;
    return true;
  }

  #noteEntered(): void {
    const { prompts, lineFeeds, prompt } = this.#mirror;
    // Whoever enters a line at a prompt makes it one that was seen.
    this.#sawPrompt ||= prompts > 0 || prompt !== undefined;
    this.#entered = { prompts, lineFeeds };
  }

  #lookForPrompt(): void {
    const run = this.#waitingRun;
    clearTimeout(this.#promptTimer);
    if (run === undefined) return;
    this.#gatherer.flush();
    if (this.#mirror.fullScreen) this.#settleRun("full-screen");
    else if (this.#atPrompt) this.#settleRun(this.#type(run.id, run.command, true));
    else if (performance.now() >= run.untilMs) this.#settleRun("no-prompt");
    else this.#promptTimer = setTimeout(() => this.#lookForPrompt(), promptPollMs);
  }

  #settleRun(outcome: RunOutcome): void {
    const run = this.#waitingRun;
    clearTimeout(this.#promptTimer);
    this.#waitingRun = undefined;
    if (run !== undefined) this.#acknowledge(run.viewer, run.id, outcome);
  }

  #acknowledge(viewer: Viewer, id: string, outcome: RunOutcome): void {
    viewer.send({ type: "run-acknowledged", id, outcome });
  }

  #output(frame: Buffer): void {
    let someoneReads = false;
    for (const viewer of this.#viewers) someoneReads ||= !viewer.behind && !viewer.full;
    for (const viewer of this.#viewers) {
      // One that is full while another reads skips this, and sees the screen again later.
      if (someoneReads && viewer.full) viewer.behind = true;
      if (!viewer.behind) viewer.sendOutput(frame);
    }
    // After the send: an echo need not wait for the mirror.
    this.#mirror.feed(frame.subarray(outputOffset));
    this.#updateFlow();
  }

  /** Whether the PTY is read follows from what is so now, never from what changed. */
  #updateFlow(): void {
    if (this.#closed) return;
    for (const viewer of this.#viewers) {
      if (!viewer.behind || viewer.full) continue;
      // Sends what was gathered, which may have brought this viewer back already.
      this.#gatherer.flush();
      if (viewer.behind) {
        viewer.sendSnapshot("resync", this.#mirror.snapshot(resyncScrollbackLines));
      }
    }
    const viewers = [...this.#viewers];
    const nobodyTakes = viewers.length > 0 && viewers.every((viewer) => viewer.full);
    const unwatched = viewers.length === 0 && this.#unwatchedBytes >= unwatchedBytes;
    this.#pty.setPaused(nobodyTakes || unwatched || this.#mirror.full);
  }

  #countUnwatched(bytes: number): void {
    this.#unwatchedBytes += bytes;
    this.#unwatchedTimer ??= setTimeout(() => {
      this.#unwatchedTimer = undefined;
      this.#unwatchedBytes = 0;
      this.#updateFlow();
    }, unwatchedWindowMs);
  }

  #updateSize(): void {
    const sizes = [...this.#viewers].flatMap((viewer) => viewer.size ?? []);
    if (sizes.length === 0 || this.#exit !== undefined) return;
    const size = {
      columns: Math.min(...sizes.map(({ columns }) => columns)),
      rows: Math.min(...sizes.map(({ rows }) => rows)),
    };
    if (size.columns === this.#size.columns && size.rows === this.#size.rows) return;
    this.#gatherer.flush();
    this.#size = size;
    this.#mirror.resize(size);
    this.#pty.resize(size);
    for (const viewer of this.#viewers) viewer.send({ type: "size", ...size });
  }

  #ended(exit: { readonly code: number; readonly signal: number }): void {
    this.#exit = exit;
    this.#whenEnded.resolve();
    if (this.#closed) return;
    this.#settleRun("ended");
    this.#gatherer.flush();
    for (const viewer of this.#viewers) viewer.send({ type: "exited", ...exit });
  }
}

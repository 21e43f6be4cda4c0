/** A PTY, its screen and its viewers. */
import type { PtyCommand } from "../../../../sandbox/index.ts";
import {
  type ClientMessage,
  closeCodes,
  decodeClientMessage,
  type RunOutcome,
  type TerminalSize,
} from "../../protocol.ts";
import type { TerminalInfo } from "../control.ts";
import { TerminalError } from "../errors.ts";
import { Mirror } from "./mirror.ts";
import { OutputGatherer, outputOffset } from "./output-gatherer.ts";
import { Pty } from "./pty.ts";
import { typeCommand } from "./typed-command.ts";
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

export class Terminal {
  readonly id: string;
  readonly title: string;
  readonly #pty: Pty;
  readonly #mirror: Mirror;
  readonly #gatherer: OutputGatherer;
  readonly #viewers = new Set<Viewer>();
  readonly #runIds = new Set<string>();
  #size: TerminalSize;
  #exit: { readonly code: number; readonly signal: number } | undefined;
  #unwatchedBytes = 0;
  #unwatchedTimer: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #whenEnded = Promise.withResolvers<void>();

  /** Throws what the kernel said where no PTY can be had. */
  constructor(id: string, title: string, command: PtyCommand, size: TerminalSize) {
    this.id = id;
    this.title = title;
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
      title: this.title,
      ...this.#size,
      ...(this.#exit === undefined ? {} : { exited: { code: this.#exit.code } }),
    };
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
      case "run":
        viewer.send({
          type: "run-acknowledged",
          id: decoded.id,
          outcome: this.#run(decoded.id, decoded.command),
        });
        return;
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
    if (this.#pty.write(bytes)) return;
    viewer.send({
      type: "notice",
      code: "input-refused",
      text: "The program does not read its input, and too much of it waits already: the rest was not sent. Ctrl-C drops what waits.",
    });
  }

  #run(id: string, command: string): RunOutcome {
    if (this.#runIds.has(id)) return "duplicate";
    if (this.#exit !== undefined) return "ended";
    this.#gatherer.flush();
    if (this.#mirror.fullScreen) return "full-screen";
    if (!this.#pty.write(typeCommand(command, this.#mirror.bracketedPaste))) return "busy";
    this.#runIds.add(id);
    const [oldest] = this.#runIds;
    if (this.#runIds.size > rememberedRunIds && oldest !== undefined) this.#runIds.delete(oldest);
    return "typed";
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
    this.#gatherer.flush();
    for (const viewer of this.#viewers) viewer.send({ type: "exited", ...exit });
  }
}

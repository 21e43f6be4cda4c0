/**
 * One PTY and the process on it. Three faults of node-pty's own JavaScript are the reason for this
 * class: queued input of a dead PTY goes to the next one that gets its descriptor, output is lost
 * when a process exits while its PTY is paused, and a paste to a child that doesn't read spins a core.
 */
import { writeSync } from "node:fs";
import { ReadStream } from "node:tty";
import type { PtyCommand } from "../../../../sandbox/index.ts";
import type { TerminalSize } from "../../protocol.ts";
import { resizePty, spawnPty } from "./spawn.ts";

/** Input that waits for a program that doesn't read, at most, bytes. */
export const maxPendingInputBytes = 8 * 1024 * 1024;

/** The same bound for many small messages: taking from the front costs time by their number. */
const maxPendingWrites = 16 * 1024;

/**
 * Pause after EAGAIN: short while the program reads, up to 5 ms when it doesn't. Measured at 5 ms:
 * 0.14 s CPU in 3 s, where trying at once burnt 3.1 s.
 */
const firstWriteRetryMs = 1;
const maxWriteRetryMs = 5;
/** Biggest single write; the kernel takes less than this at once. */
const writeSliceBytes = 64 * 1024;
const readBufferBytes = 64 * 1024;
/** After the process ended: how long its descendants may hold the PTY without a word. */
const quietAfterExitMs = 200;
/** After the process ended: how long its descendants may go on talking. */
const talkAfterExitMs = 2_000;
/** Between asking the process group to end and ending it. */
const killGraceMs = 1_000;

export interface PtyListener {
  /** `chunk` is only valid during the call. */
  onOutput(chunk: Buffer): void;
  /** Called once, after the last output. */
  onExit(exit: { readonly code: number; readonly signal: number }): void;
}

export class Pty {
  readonly pid: number;
  readonly #fd: number;
  readonly #stream: ReadStream;
  readonly #listener: PtyListener;
  #queue: Buffer[] = [];
  #pendingBytes = 0;
  #retry: NodeJS.Timeout | undefined;
  #retryMs = firstWriteRetryMs;
  #exit: { readonly code: number; readonly signal: number } | undefined;
  #streamClosed = false;
  #told = false;
  #paused = false;
  #quietTimer: NodeJS.Timeout | undefined;
  #talkTimer: NodeJS.Timeout | undefined;
  #killTimer: NodeJS.Timeout | undefined;

  /** Throws what the kernel said where no PTY or process can be had. */
  constructor(command: PtyCommand, size: TerminalSize, listener: PtyListener) {
    this.#listener = listener;
    const spawned = spawnPty(command, size, (code, signal) => this.#processEnded(code, signal));
    this.pid = spawned.pid;
    this.#fd = spawned.fd;
    const options = {
      // One buffer for all reads: libuv would otherwise allocate 64 KiB for each 4 KiB that come.
      onread: {
        buffer: Buffer.allocUnsafeSlow(readBufferBytes),
        callback: (byteLength: number, buffer: Uint8Array): boolean => {
          this.#read(buffer as Buffer, byteLength);
          return true;
        },
      },
    };
    this.#stream = new ReadStream(this.#fd, options as ConstructorParameters<typeof ReadStream>[1]);
    // EIO is how Linux says that nobody holds the other side any more: 'close' follows.
    this.#stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EIO") console.error(`pty of process ${this.pid}: ${error.message}`);
    });
    this.#stream.on("close", () => {
      this.#streamClosed = true;
      this.#dropInput();
      this.#tellExit();
    });
    this.#stream.resume();
  }

  get pendingInputBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Queues input, in order. `false`: over `maxPendingInputBytes`, nothing of it was taken. After
   * the end of the PTY input is dropped, which counts as taken. `bytes` must not change later.
   */
  write(bytes: Uint8Array): boolean {
    if (!this.#isOpen() || bytes.byteLength === 0) return true;
    if (this.#pendingBytes + bytes.byteLength > maxPendingInputBytes) return false;
    if (this.#queue.length >= maxPendingWrites) return false;
    this.#queue.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    this.#pendingBytes += bytes.byteLength;
    if (this.#retry === undefined) this.#flushInput();
    return true;
  }

  /** Forgets input that no program has taken yet; says how many bytes that were. */
  dropPendingInput(): number {
    const dropped = this.#pendingBytes;
    this.#dropInput();
    return dropped;
  }

  /** Stops or goes on reading output. After the process ended reading always goes on. */
  setPaused(paused: boolean): void {
    if (paused === this.#paused || this.#exit !== undefined) return;
    this.#paused = paused;
    if (paused) this.#stream.pause();
    else this.#stream.resume();
  }

  /** Does nothing once the PTY has ended. */
  resize(size: TerminalSize): void {
    if (this.#isOpen() && this.#exit === undefined) resizePty(this.#fd, size);
  }

  /** Hangs up on the process and its group; what is left after a second is killed. */
  kill(): void {
    this.#signal("SIGHUP");
    this.#killTimer ??= setTimeout(() => {
      this.#signal("SIGKILL");
      this.#stream.destroy();
    }, killGraceMs);
  }

  // `destroyed` is set in the same call that gives the descriptor back to the kernel, and all
  // writes are synchronous: no write is ever in flight while another PTY can get the number.
  #isOpen(): boolean {
    return !this.#stream.destroyed;
  }

  #flushInput(): void {
    this.#retry = undefined;
    while (this.#isOpen()) {
      const head = this.#queue[0];
      if (head === undefined) return;
      let written: number;
      try {
        written = writeSync(this.#fd, head, 0, Math.min(head.byteLength, writeSliceBytes));
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        if (code === "EAGAIN") {
          this.#retry = setTimeout(() => this.#flushInput(), this.#retryMs);
          this.#retryMs = Math.min(maxWriteRetryMs, this.#retryMs * 2);
          return;
        }
        if (code !== "EIO") console.error(`input of process ${this.pid}: ${message}`);
        this.#dropInput();
        return;
      }
      this.#retryMs = firstWriteRetryMs;
      this.#pendingBytes -= written;
      if (written === head.byteLength) this.#queue.shift();
      else this.#queue[0] = head.subarray(written);
    }
  }

  #dropInput(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#queue = [];
    this.#pendingBytes = 0;
  }

  #read(buffer: Buffer, byteLength: number): void {
    this.#quietTimer?.refresh();
    this.#listener.onOutput(buffer.subarray(0, byteLength));
  }

  #processEnded(code: number, signal: number): void {
    this.#exit = { code: signal === 0 ? code : -1, signal };
    this.#dropInput();
    clearTimeout(this.#killTimer);
    if (this.#streamClosed) {
      this.#tellExit();
      return;
    }
    // What the process wrote last still lies in the kernel: read it also while viewers are full.
    // It is bounded by the PTY's own buffer, since the session ended with its leader.
    this.#stream.resume();
    this.#quietTimer = setTimeout(() => this.#stream.destroy(), quietAfterExitMs);
    this.#talkTimer = setTimeout(() => this.#stream.destroy(), talkAfterExitMs);
  }

  #tellExit(): void {
    if (this.#exit === undefined || !this.#streamClosed || this.#told) return;
    this.#told = true;
    clearTimeout(this.#quietTimer);
    clearTimeout(this.#talkTimer);
    this.#listener.onExit(this.#exit);
  }

  #signal(signal: NodeJS.Signals): void {
    // Once the process was reaped its number may be somebody else's.
    if (this.#exit !== undefined) return;
    for (const target of [-this.pid, this.pid]) {
      try {
        process.kill(target, signal);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code !== "ESRCH") throw error;
      }
    }
  }
}

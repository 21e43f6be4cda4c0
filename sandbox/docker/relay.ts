import { type ChildProcessByStdio, spawn } from "node:child_process";
import { Duplex, type Readable, type Writable } from "node:stream";
import { SandboxError } from "../errors.ts";

/** Kinds of frames; the hand's `relay.py` says what each of them means. */
const kinds = { open: 1, opened: 2, data: 3, end: 4, close: 5, credit: 6 } as const;
/** A frame's kind, the number of its connection, the length of what follows. */
const HEADER_BYTES = 9;
/** Longer than anything that the hand sends. */
const MAX_PAYLOAD_BYTES = 128 * 1024;
const WINDOW_BYTES = 128 * 1024;
const CHUNK_BYTES = 64 * 1024;
const IDLE_MS = 60_000;
const ANSWER_GRACE_MS = 3000;

function header(kind: number, number: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES);
  bytes.writeUInt8(kind, 0);
  bytes.writeUInt32BE(number, 1);
  bytes.writeUInt32BE(length, 5);
  return bytes;
}

/** errno's name of why a connection was not made: `ECONNREFUSED`. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly code: string;

  constructor(code: string) {
    super(`The connection failed: ${code}.`);
    this.code = code;
  }
}

const relayLost = () =>
  new SandboxError(
    "probe-failed",
    "The connection into the lab was lost: the trusted sidecar or the lab has ended.",
  );

class RelayConnection extends Duplex {
  readonly #send: (kind: number, payload?: Buffer) => void;
  /** Told once how the attempt to connect ended. */
  readonly #onAnswer: (error?: Error) => void;
  #opened = false;
  /** The other end knows of no connection any more. */
  #over = false;
  /** Bytes that may be sent, and what waits for more of them. */
  #credit = WINDOW_BYTES;
  #waiting: { readonly rest: Buffer; readonly done: () => void } | undefined;
  /** Bytes received that the other end was given no new credit for yet. */
  #owed = 0;

  constructor(
    send: (kind: number, payload?: Buffer) => void,
    onAnswer: (error?: Error) => void,
    onOver: () => void,
  ) {
    super({ highWaterMark: CHUNK_BYTES });
    this.#send = send;
    this.#onAnswer = onAnswer;
    this.once("close", onOver);
    // It may break before whoever asked for it has it; then, too, it is no fault of the whole process.
    this.on("error", () => undefined);
  }

  receive(kind: number, payload: Buffer): void {
    if (kind === kinds.opened) {
      this.#opened = true;
      this.#onAnswer();
    } else if (kind === kinds.data) {
      this.#owed += payload.byteLength;
      this.push(payload);
    } else if (kind === kinds.end) {
      this.push(null);
    } else if (kind === kinds.credit) {
      this.#credit += payload.readUInt32BE(0);
      this.#sendOn();
    } else if (kind === kinds.close) {
      this.#over = true;
      // Without a reason, both sides have said their last word: what was received may still be read.
      if (payload.byteLength > 0) this.break(new ConnectError(payload.toString("latin1")));
    }
  }

  /** Ends the connection, for the reason given, whatever state it is in. */
  break(error: Error): void {
    if (this.#opened) this.destroy(error);
    else {
      this.destroy();
      this.#onAnswer(error);
    }
  }

  override _read(): void {
    if (this.#owed === 0 || this.#over) return;
    const credit = Buffer.allocUnsafe(4);
    credit.writeUInt32BE(this.#owed);
    this.#owed = 0;
    this.#send(kinds.credit, credit);
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#waiting = { rest: chunk, done };
    this.#sendOn();
  }

  override _final(done: () => void): void {
    if (!this.#over) this.#send(kinds.end);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#over) this.#send(kinds.close);
    this.#over = true;
    done(error);
  }

  #sendOn(): void {
    while (this.#waiting !== undefined && this.#credit > 0) {
      const { rest, done } = this.#waiting;
      const part = rest.subarray(0, Math.min(CHUNK_BYTES, this.#credit));
      this.#credit -= part.byteLength;
      this.#send(kinds.data, part);
      const left = rest.subarray(part.byteLength);
      this.#waiting = left.byteLength > 0 ? { rest: left, done } : undefined;
      if (this.#waiting === undefined) done();
    }
  }
}

/**
 * Connections from the gateway of one lab into it, all through one process of the hand, which ends by itself when
 * none was open for a minute.
 */
export class Relay implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #connections = new Map<number, RelayConnection>();
  readonly #ended: Promise<void>;
  #lastNumber = 0;
  #closed = false;
  #unread: Buffer = Buffer.alloc(0);
  #idle: NodeJS.Timeout | undefined;

  /** `key` is the lab's, `address` the engine's as `DOCKER_HOST` takes it. */
  constructor(address: string, steward: string, key: string) {
    const hand = ["python3", "/usr/lib/patchbay/hand", "relay", key];
    const args = ["--host", address, "exec", "--interactive", steward, ...hand];
    this.#process = spawn("docker", args, { stdio: ["pipe", "pipe", "inherit"], detached: true });
    this.#process.stdin.on("error", () => undefined);
    this.#process.stdout.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#ended = new Promise((resolve) => {
      const end = () => {
        this.#closed = true;
        clearTimeout(this.#idle);
        for (const connection of this.#connections.values()) connection.break(relayLost());
        resolve();
      };
      this.#process.on("error", end);
      this.#process.on("close", end);
    });
    this.#waitForUse();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Rejects with `ConnectError`, with `SandboxError` where the way there is lost, or with the signal's reason. */
  connect(
    target: { readonly address: string; readonly port: number; readonly timeoutMs: number },
    signal?: AbortSignal,
  ): Promise<Duplex> {
    signal?.throwIfAborted();
    if (this.#closed) throw relayLost();
    clearTimeout(this.#idle);
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    return new Promise((resolve, reject) => {
      const onAbort = () => connection.break(signal?.reason);
      const overdue = setTimeout(
        () => connection.break(new ConnectError("ETIMEDOUT")),
        target.timeoutMs + ANSWER_GRACE_MS,
      );
      const connection = new RelayConnection(
        (kind, payload) => this.#send(kind, number, payload),
        (error) => {
          clearTimeout(overdue);
          signal?.removeEventListener("abort", onAbort);
          if (error === undefined) resolve(connection);
          else reject(error);
        },
        () => {
          this.#connections.delete(number);
          if (this.#connections.size === 0) this.#waitForUse();
        },
      );
      this.#connections.set(number, connection);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#send(kinds.open, number, Buffer.from(JSON.stringify(target)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#process.stdin.end();
    const late = setTimeout(() => this.#process.kill("SIGKILL"), ANSWER_GRACE_MS);
    await this.#ended;
    clearTimeout(late);
  }

  #waitForUse(): void {
    clearTimeout(this.#idle);
    if (this.#closed) return;
    this.#idle = setTimeout(() => void this[Symbol.asyncDispose](), IDLE_MS);
    this.#idle.unref();
  }

  #send(kind: number, number: number, payload: Buffer = Buffer.alloc(0)): void {
    this.#process.stdin.write(header(kind, number, payload.byteLength));
    if (payload.byteLength > 0) this.#process.stdin.write(payload);
  }

  #read(chunk: Buffer): void {
    this.#unread = this.#unread.byteLength === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    while (this.#unread.byteLength >= HEADER_BYTES) {
      const kind = this.#unread.readUInt8(0);
      const number = this.#unread.readUInt32BE(1);
      const length = this.#unread.readUInt32BE(5);
      if (length > MAX_PAYLOAD_BYTES) {
        this.#process.kill("SIGKILL");
        return;
      }
      const end = HEADER_BYTES + length;
      if (this.#unread.byteLength < end) return;
      const payload = this.#unread.subarray(HEADER_BYTES, end);
      this.#unread = this.#unread.subarray(end);
      this.#connections.get(number)?.receive(kind, payload);
    }
  }
}

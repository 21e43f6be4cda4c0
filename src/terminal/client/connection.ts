/** One terminal's WebSocket, opened again whenever it is lost. No DOM but `WebSocket` and timers. */
import {
  type ClientMessage,
  closeCodes,
  decodeServerMessage,
  encodeClientMessage,
  limits,
  type ServerMessage,
} from "../protocol.ts";

export type ConnectionState =
  | { readonly name: "connecting" }
  /** The screen has come: what is typed now arrives. */
  | { readonly name: "connected" }
  | { readonly name: "reconnecting"; readonly attempt: number; readonly retryMs: number }
  /** For good: the terminal is gone. */
  | { readonly name: "ended"; readonly reason: string };

export interface ConnectionOptions {
  /** A new WebSocket to the same terminal. */
  readonly open: () => WebSocket;
  /** Whether the terminal still exists, asked after a failed attempt; `undefined` when nobody knows. */
  readonly exists: () => Promise<boolean | undefined>;
  readonly onMessage: (message: ServerMessage) => void;
  readonly onState: (state: ConnectionState) => void;
  /** A ping is sent each so often; no answer for as long again is a lost connection. Default 10 s. */
  readonly pingMs?: number;
  /** First pause before trying again; doubles up to 40 times as much. Default 250 ms. */
  readonly firstRetryMs?: number;
}

const gone = new Set<number>([closeCodes.terminalClosed, closeCodes.terminalUnknown]);
/** Pieces that input is cut into: small enough that Ctrl-C never waits behind one big frame. */
const inputPieceBytes = 16 * 1024;
/** Typed ahead of the first connection; nobody types more in the moment that it takes. */
const maxEarlyBytes = 4096;

export class TerminalConnection {
  readonly #options: Required<ConnectionOptions>;
  #state: ConnectionState = { name: "connecting" };
  #webSocket: WebSocket | undefined;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #ping: ReturnType<typeof setInterval> | undefined;
  #heard = true;
  #token = 0;
  #drawnBytes = 0;
  #waitingBytes = 0;
  /** Input from before the first connection. */
  #early: Uint8Array[] = [];
  #earlyBytes = 0;

  /** Connects at once. */
  constructor(options: ConnectionOptions) {
    this.#options = { pingMs: 10_000, firstRetryMs: 250, ...options };
    this.#connect();
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** `false` while not connected: the message is dropped, never kept for later. */
  send(message: ClientMessage): boolean {
    if (this.#state.name !== "connected") return false;
    this.#webSocket?.send(encodeClientMessage(message));
    return true;
  }

  /**
   * Sends input in pieces, in order. What is typed before the first connection is kept for it, as any terminal keeps what
   * is typed ahead. `false` where input is dropped: once a connection was lost, nobody knows what the keys would meet.
   */
  sendInput(bytes: Uint8Array): boolean {
    if (this.#state.name === "connecting") {
      if (this.#earlyBytes + bytes.byteLength > maxEarlyBytes) return false;
      this.#earlyBytes += bytes.byteLength;
      this.#early.push(bytes.slice());
      return true;
    }
    for (let offset = 0; offset < bytes.byteLength; offset += inputPieceBytes) {
      const piece = bytes.subarray(offset, offset + inputPieceBytes);
      if (!this.send({ type: "input", bytes: piece })) return false;
    }
    return this.#state.name === "connected";
  }

  /**
   * To be called when bytes of an output or snapshot message were drawn. Acknowledges each 32 KiB,
   * and when nothing waits to be drawn.
   */
  drawn(byteLength: number, webSocket: unknown): void {
    // What an earlier connection sent is no business of this one.
    if (webSocket !== this.#webSocket) return;
    this.#drawnBytes += byteLength;
    this.#waitingBytes -= byteLength;
    if (this.#drawnBytes < limits.ackBytes && this.#waitingBytes > 0) return;
    if (this.#drawnBytes > 0) this.send({ type: "ack", bytes: this.#drawnBytes });
    this.#drawnBytes = 0;
  }

  /** Names the connection that a message came over, for `drawn`. */
  get current(): unknown {
    return this.#webSocket;
  }

  /** Tries again now where it would wait. */
  retryNow(): void {
    if (this.#state.name !== "reconnecting" || this.#webSocket !== undefined) return;
    clearTimeout(this.#retry);
    this.#connect();
  }

  /** Ends the connection for good; the shell runs on. */
  close(): void {
    clearTimeout(this.#retry);
    this.#drop();
    this.#state = { name: "ended", reason: "" };
  }

  #set(state: ConnectionState): void {
    this.#state = state;
    this.#options.onState(state);
  }

  #connect(): void {
    const webSocket = this.#options.open();
    webSocket.binaryType = "arraybuffer";
    this.#webSocket = webSocket;
    this.#drawnBytes = 0;
    this.#waitingBytes = 0;
    this.#heard = true;
    webSocket.addEventListener("message", (event) => {
      if (webSocket === this.#webSocket) this.#receive(new Uint8Array(event.data as ArrayBuffer));
    });
    webSocket.addEventListener("close", (event) => {
      if (webSocket === this.#webSocket) void this.#lost(event.code, event.reason);
    });
    this.#ping = setInterval(() => this.#beat(), this.#options.pingMs);
  }

  #receive(frame: Uint8Array): void {
    this.#heard = true;
    const message = decodeServerMessage(frame);
    if (message.type === "output" || message.type === "snapshot") {
      this.#waitingBytes += message.bytes.byteLength;
    }
    // The first snapshot is the sign that the terminal itself, not only its server, is there.
    if (message.type === "snapshot" && this.#state.name !== "connected") {
      this.#attempt = 0;
      this.#set({ name: "connected" });
      for (const bytes of this.#early) this.sendInput(bytes);
      this.#early = [];
    }
    this.#options.onMessage(message);
  }

  #beat(): void {
    if (!this.#heard) {
      void this.#lost(1006, "no answer");
      return;
    }
    this.#heard = false;
    this.#token = (this.#token + 1) >>> 0;
    this.send({ type: "ping", token: this.#token });
  }

  async #lost(code: number, reason: string): Promise<void> {
    this.#drop();
    this.#early = [];
    if (gone.has(code)) {
      this.#set({ name: "ended", reason });
      return;
    }
    this.#attempt += 1;
    const { firstRetryMs } = this.#options;
    const backOffMs = Math.min(firstRetryMs * 40, firstRetryMs * 2 ** (this.#attempt - 1));
    // Spread out, so that a class does not come back in the same instant after a restart.
    const retryMs = Math.round(backOffMs * (0.8 + Math.random() * 0.4));
    this.#set({ name: "reconnecting", attempt: this.#attempt, retryMs });
    this.#retry = setTimeout(() => void this.#tryAgain(), retryMs);
  }

  async #tryAgain(): Promise<void> {
    // A browser doesn't tell a refused upgrade from a dead server; the list of terminals does.
    const exists = this.#attempt > 1 ? await this.#options.exists() : undefined;
    if (this.#state.name !== "reconnecting" || this.#webSocket !== undefined) return;
    if (exists === false) this.#set({ name: "ended", reason: "this terminal is gone" });
    else this.#connect();
  }

  #drop(): void {
    const webSocket = this.#webSocket;
    this.#webSocket = undefined;
    clearInterval(this.#ping);
    webSocket?.close();
  }
}

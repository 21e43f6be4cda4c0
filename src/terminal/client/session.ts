/** One terminal in the page: its screen, its connection, and what it says about itself. */
import type { ClientMessage, NoticeCode, RunOutcome, ServerMessage } from "../protocol.ts";
import type { TerminalApi, TerminalEntry } from "./api.ts";
import { type ConnectionState, TerminalConnection } from "./connection.ts";
import type { Screen } from "./screen.ts";

export interface SessionListener {
  onState(state: ConnectionState): void;
  onExit(code: number, signal: number): void;
  onRunAcknowledged(id: string, outcome: RunOutcome): void;
  onNotice(code: NoticeCode): void;
}

export class Session {
  entry: TerminalEntry;
  readonly #screen: Screen;
  readonly #connection: TerminalConnection;
  readonly #listener: SessionListener;
  #exited = false;

  constructor(api: TerminalApi, entry: TerminalEntry, screen: Screen, listener: SessionListener) {
    this.entry = entry;
    this.#screen = screen;
    this.#listener = listener;
    this.#connection = new TerminalConnection({
      open: () => api.socket(entry.id),
      exists: async () => {
        try {
          return (await api.list()).some(({ id }) => id === entry.id);
        } catch (error) {
          console.info("The server does not answer:", error);
          return undefined;
        }
      },
      onMessage: (message) => this.#receive(message),
      onState: (state) => {
        if (state.name === "connected") this.#tellRoom();
        screen.setReadOnly(state.name !== "connected" || this.#exited);
        listener.onState(state);
      },
    });
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  get exited(): boolean {
    return this.#exited;
  }

  input(bytes: Uint8Array): void {
    if (!this.#exited) this.#connection.sendInput(bytes);
  }

  /** `false`: nothing was sent. */
  run(message: Omit<Extract<ClientMessage, { type: "run" }>, "type">): boolean {
    return this.#connection.send({ type: "run", ...message });
  }

  room(): void {
    this.#tellRoom();
  }

  retryNow(): void {
    this.#connection.retryNow();
  }

  close(): void {
    this.#connection.close();
  }

  #tellRoom(): void {
    const size = this.#screen.measure();
    if (size !== undefined) this.#connection.send({ type: "resize", ...size });
  }

  #receive(message: ServerMessage): void {
    const { current } = this.#connection;
    switch (message.type) {
      case "output":
        this.#screen.write(message.bytes, () =>
          this.#connection.drawn(message.bytes.byteLength, current),
        );
        return;
      case "snapshot":
        this.#screen.replace(message, message.bytes, () =>
          this.#connection.drawn(message.bytes.byteLength, current),
        );
        return;
      case "size":
        this.#screen.resizeInOrder(message);
        return;
      case "exited":
        this.#exited = true;
        this.#screen.setReadOnly(true);
        this.#listener.onExit(message.code, message.signal);
        return;
      case "run-acknowledged":
        this.#listener.onRunAcknowledged(message.id, message.outcome);
        return;
      case "notice":
        this.#listener.onNotice(message.code);
        return;
      case "pong":
        return;
    }
  }
}

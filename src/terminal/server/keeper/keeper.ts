/** The server on a keeper's unix socket: opens, lists, closes terminals, and attaches viewers. */
import { chmodSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { clampSize, closeCodes, ProtocolError } from "../../protocol.ts";
import {
  type ControlReply,
  type ControlRequest,
  controlFrameBytes,
  decodeRequest,
} from "../control.ts";
import { TerminalError } from "../errors.ts";
import { FrameReader, frame } from "../framing.ts";
import { Terminal } from "./terminal.ts";
import { Viewer } from "./viewer.ts";

/** Terminals of one lab, at most. */
export const maxTerminals = 24;
/** A keeper that was never given a terminal goes away after this. */
const unusedMs = 10_000;
/** After the last process is gone: time for the last replies to arrive. */
const lingerMs = 50;
/** All shells have ended and nobody looks: their lab is gone. So long their last screens can be read. */
const abandonedMs = 10 * 60_000;

export class Keeper {
  readonly #server: Server;
  readonly #terminals = new Map<string, Terminal>();
  readonly #onEmpty: () => void;
  #opened = 0;
  #closing = 0;
  #endTimer: NodeJS.Timeout | undefined;
  #abandonedSinceMs: number | undefined;

  /** `onEmpty`: nothing is left to keep, the process may end. */
  constructor(onEmpty: () => void, options: { readonly abandonedMs: number } = { abandonedMs }) {
    this.#onEmpty = onEmpty;
    setInterval(() => this.#endAbandoned(options.abandonedMs), options.abandonedMs / 10);
    this.#server = createServer((socket) => this.#serve(socket));
    this.#endSoon(unusedMs);
  }

  /** Listens at `socketPath`, for the owner alone. The caller holds the lock on that path. */
  listen(socketPath: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      const umask = process.umask(0o177);
      this.#server.listen(socketPath, () => {
        chmodSync(socketPath, 0o600);
        this.#server.off("error", reject);
        resolve();
      });
      process.umask(umask);
    });
  }

  /** Ends all terminals, and then the keeper. */
  shutDown(): void {
    for (const terminal of this.#terminals.values()) this.#close(terminal);
    if (this.#closing === 0) this.#endSoon(lingerMs);
  }

  #endAbandoned(afterMs: number): void {
    const terminals = [...this.#terminals.values()];
    if (terminals.length === 0 || !terminals.every((terminal) => terminal.abandoned)) {
      this.#abandonedSinceMs = undefined;
      return;
    }
    this.#abandonedSinceMs ??= performance.now();
    if (performance.now() - this.#abandonedSinceMs >= afterMs) this.shutDown();
  }

  #close(terminal: Terminal): void {
    this.#terminals.delete(terminal.id);
    this.#closing += 1;
    void terminal.close().then(() => {
      this.#closing -= 1;
      this.#endSoon(lingerMs);
    });
  }

  #endSoon(delayMs: number): void {
    clearTimeout(this.#endTimer);
    this.#endTimer = setTimeout(() => {
      if (this.#terminals.size === 0 && this.#closing === 0) this.#onEmpty();
    }, delayMs);
  }

  #serve(socket: Socket): void {
    const reader = new FrameReader(controlFrameBytes);
    let attached: { readonly terminal: Terminal; readonly viewer: Viewer } | undefined;
    const onFrame = (body: Buffer): void => {
      if (attached === undefined) attached = this.#answer(socket, body);
      else attached.terminal.receive(attached.viewer, body);
    };
    socket.on("data", (chunk) => {
      try {
        reader.push(chunk, onFrame);
      } catch (error) {
        if (attached === undefined) {
          console.error("a request that is none:", error);
          socket.destroy();
          return;
        }
        attached.terminal.detach(attached.viewer);
        const known = error instanceof ProtocolError;
        if (!known) console.error("message from a viewer:", error);
        attached.viewer.close(
          known ? error.closeCode : closeCodes.internalError,
          known ? error.message : "the terminal failed on this message",
        );
      }
    });
    socket.on("drain", () => attached?.terminal.viewerDrained());
    // A gateway that dies resets its connections: that ends the view, not the terminal.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => attached?.terminal.detach(attached.viewer));
  }

  #answer(
    socket: Socket,
    body: Buffer,
  ): { readonly terminal: Terminal; readonly viewer: Viewer } | undefined {
    try {
      const request = decodeRequest(body);
      if (request.op === "attach") {
        const terminal = this.#find(request.terminalId);
        const viewer = new Viewer(socket);
        this.#reply(socket, this.#state());
        try {
          terminal.attach(viewer);
        } catch (error) {
          if (!(error instanceof TerminalError)) throw error;
          viewer.close(closeCodes.tryAgainLater, error.message);
          return undefined;
        }
        return { terminal, viewer };
      }
      this.#change(request);
      this.#reply(socket, this.#state());
    } catch (error) {
      if (!(error instanceof TerminalError)) throw error;
      this.#reply(socket, { ok: false, error: { code: error.code, message: error.message } });
    }
    return undefined;
  }

  #change(request: Exclude<ControlRequest, { op: "attach" }>): void {
    switch (request.op) {
      case "list":
        return;
      case "open":
        this.#open(request);
        return;
      case "close":
        this.#close(this.#find(request.terminalId));
        return;
      case "rename":
        this.#find(request.terminalId).title = request.title;
        return;
      case "shut-down":
        this.shutDown();
    }
  }

  #open(request: Extract<ControlRequest, { op: "open" }>): void {
    const namesake = [...this.#terminals.values()].find(
      ({ place }) =>
        request.name !== undefined && place.name === request.name && place.host === request.host,
    );
    if (namesake?.ended === false) return;
    if (namesake !== undefined) this.#close(namesake);
    if (this.#terminals.size >= maxTerminals) {
      throw new TerminalError(
        "too-many-terminals",
        `this lab has ${maxTerminals} terminals open already: close one of them`,
      );
    }
    if (this.#terminals.has(request.terminalId)) {
      throw new TerminalError(
        "terminal-id-invalid",
        `there is a terminal ${request.terminalId} already`,
      );
    }
    const { terminalId: id, command, host, name, title } = request;
    const place = {
      host,
      ...(name !== undefined && { name }),
      ...(title !== undefined && { title }),
    };
    let terminal: Terminal;
    try {
      terminal = new Terminal(
        { id, number: this.#opened + 1, ...place },
        command,
        clampSize(request),
      );
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new TerminalError(
        "spawn-failed",
        `no PTY for a new terminal: ${why} Close terminals, or look at kernel.pty.max and the process limits.`,
        { cause },
      );
    }
    this.#opened += 1;
    this.#terminals.set(terminal.id, terminal);
    clearTimeout(this.#endTimer);
  }

  #find(terminalId: string): Terminal {
    const terminal = this.#terminals.get(terminalId);
    if (terminal === undefined) {
      throw new TerminalError(
        "terminal-not-found",
        `there is no terminal ${terminalId} in this lab`,
      );
    }
    return terminal;
  }

  #state(): ControlReply {
    return {
      ok: true,
      keeperPid: process.pid,
      terminals: [...this.#terminals.values()].map(({ info }) => info),
    };
  }

  #reply(socket: Socket, reply: ControlReply): void {
    socket.write(frame(Buffer.from(JSON.stringify(reply), "utf8")));
  }
}

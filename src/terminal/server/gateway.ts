/** The web server's side of terminals. It owns no PTY: shells live in keepers, and outlive it. */

import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { WebSocket } from "ws";
import type { PtyCommand } from "../../../sandbox/index.ts";
import { clampSize, closeCodes, type TerminalSize } from "../protocol.ts";
import { Bridge, type BridgeOptions } from "./bridge.ts";
import type { TerminalInfo, TerminalPlace } from "./control.ts";
import { TerminalError, type TerminalErrorCode } from "./errors.ts";
import {
  ask,
  connectKeeper,
  type KeeperRequest,
  type KeeperState,
  keeperPaths,
  startKeeper,
} from "./keeper-connection.ts";
import { messagesPerSecond } from "./rate-limit.ts";

export interface TerminalGatewayOptions extends Partial<BridgeOptions> {
  /** Keepers' sockets live in its folder `terminals`. */
  readonly stateDir: string;
  /** Told each time that somebody types in a terminal of the lab. */
  readonly onUse?: (labId: string) => void;
}

const defaultHeartbeatMs = 15_000;

const closeCodeOf: Partial<Record<TerminalErrorCode, number>> = {
  "terminal-not-found": closeCodes.terminalUnknown,
  "terminal-id-invalid": closeCodes.terminalUnknown,
  "lab-id-invalid": closeCodes.terminalUnknown,
  "too-many-viewers": closeCodes.tryAgainLater,
};

function shorten(text: string): string {
  return Buffer.byteLength(text) <= 123 ? text : `${Buffer.from(text).toString("latin1", 0, 120)}…`;
}

/**
 * Terminals of labs. Disposing it ends its connections and leaves keepers and shells running; the
 * next gateway with the same `stateDir` finds them.
 *
 * All methods throw `TerminalError`.
 */
export class TerminalGateway implements AsyncDisposable {
  readonly #stateDir: string;
  readonly #bridgeOptions: BridgeOptions;
  readonly #onUse: (labId: string) => void;
  readonly #bridges = new Set<Bridge>();
  /** Keepers being started, so that two requests at once start one. */
  readonly #starting = new Map<string, Promise<unknown>>();

  constructor(options: TerminalGatewayOptions) {
    this.#stateDir = options.stateDir;
    this.#onUse = options.onUse ?? (() => undefined);
    this.#bridgeOptions = {
      heartbeatMs: options.heartbeatMs ?? defaultHeartbeatMs,
      messagesPerSecond: options.messagesPerSecond ?? messagesPerSecond,
    };
  }

  /** The lab's terminals in the order they were opened, also those whose shell has ended. */
  async list(labId: string): Promise<TerminalInfo[]> {
    const socket = await connectKeeper(keeperPaths(this.#stateDir, labId));
    if (socket === undefined) return [];
    return [...(await this.#request(socket, { op: "list" })).terminals];
  }

  /**
   * Opens a terminal and starts the lab's keeper where none runs. `command` is told the new
   * terminal's id. Sizes are bounded to what a terminal can have. Where a shell runs in a terminal
   * of that name on that host already, resolves with that one.
   */
  async open(
    labId: string,
    command: (terminalId: string) => PtyCommand,
    size: TerminalSize,
    place: TerminalPlace,
  ): Promise<TerminalInfo> {
    const terminalId = `t-${randomUUID().slice(0, 18)}`;
    const request: KeeperRequest = {
      op: "open",
      terminalId,
      command: command(terminalId),
      host: place.host,
      ...(place.name !== undefined && { name: place.name }),
      ...(place.title !== undefined && { title: place.title }),
      ...clampSize(size),
    };
    const { terminals } = await this.#request(await this.#connectOrStart(labId), request).catch(
      async (error: unknown) => {
        // A keeper that was just ending, its last terminal closed: the next one takes over.
        if (!(error instanceof TerminalError) || error.code !== "keeper-unreachable") throw error;
        return this.#request(await this.#connectOrStart(labId), request);
      },
    );
    const named = ({ host, name }: TerminalInfo) =>
      name !== undefined && name === place.name && host === place.host;
    const opened = terminals.find(({ id }) => id === terminalId) ?? terminals.find(named);
    if (opened === undefined) {
      throw new TerminalError("terminal-not-found", `terminal ${terminalId} ended while it opened`);
    }
    return opened;
  }

  /** Ends a terminal and its client process. The shell on the lab host is `LabHost.endShell`'s. */
  async close(labId: string, terminalId: string): Promise<void> {
    const socket = await connectKeeper(keeperPaths(this.#stateDir, labId));
    if (socket === undefined) {
      throw new TerminalError("terminal-not-found", `lab ${labId} has no terminal ${terminalId}`);
    }
    await this.#request(socket, { op: "close", terminalId });
  }

  /** Gives a terminal another title; an empty one brings back its own. */
  async rename(labId: string, terminalId: string, title: string): Promise<TerminalInfo> {
    const socket = await connectKeeper(keeperPaths(this.#stateDir, labId));
    const unknown = () =>
      new TerminalError("terminal-not-found", `lab ${labId} has no terminal ${terminalId}`);
    if (socket === undefined) throw unknown();
    const { terminals } = await this.#request(socket, { op: "rename", terminalId, title });
    const renamed = terminals.find(({ id }) => id === terminalId);
    if (renamed === undefined) throw unknown();
    return renamed;
  }

  /**
   * Connects a WebSocket to a terminal: its screen first, then what happens on it. Resolves when
   * attached. What stands in the way closes the WebSocket with a code and a reason; only faults
   * that are nobody's input are thrown, after the same close.
   */
  async attach(labId: string, terminalId: string, webSocket: WebSocket): Promise<void> {
    const bridge = new Bridge(webSocket, this.#bridgeOptions, () => this.#onUse(labId));
    this.#bridges.add(bridge);
    webSocket.once("close", () => this.#bridges.delete(bridge));
    try {
      const socket = await connectKeeper(keeperPaths(this.#stateDir, labId));
      if (socket === undefined) {
        throw new TerminalError("terminal-not-found", `lab ${labId} has no terminal ${terminalId}`);
      }
      await ask(socket, { op: "attach", terminalId }, (body) => bridge.fromKeeper(body));
      bridge.connect(socket);
    } catch (error) {
      const code = error instanceof TerminalError ? closeCodeOf[error.code] : undefined;
      const reason = error instanceof TerminalError ? error.message : "the server failed";
      bridge.close(code ?? closeCodes.internalError, shorten(reason));
      if (code === undefined) throw error;
    }
  }

  /** Ends all terminals of a lab, and its keeper. Does nothing where none runs. */
  async closeLab(labId: string): Promise<void> {
    const socket = await connectKeeper(keeperPaths(this.#stateDir, labId));
    if (socket !== undefined) await this.#request(socket, { op: "shut-down" });
  }

  /** Labs that have a keeper, or had one that crashed. */
  async labs(): Promise<string[]> {
    const names = await readdir(join(this.#stateDir, "terminals")).catch((error) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    });
    return names.filter((name) => name.endsWith(".sock")).map((name) => name.slice(0, -5));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const bridge of this.#bridges) bridge.close(1012, "the server restarts");
    this.#bridges.clear();
    await Promise.allSettled(this.#starting.values());
  }

  async #connectOrStart(labId: string): Promise<Socket> {
    const paths = keeperPaths(this.#stateDir, labId);
    await this.#starting.get(labId);
    const running = await connectKeeper(paths);
    if (running !== undefined) return running;
    const others = this.#starting.get(labId);
    if (others !== undefined) {
      await others;
      return this.#connectOrStart(labId);
    }
    const starting = startKeeper(paths);
    this.#starting.set(
      labId,
      starting.catch(() => undefined).finally(() => this.#starting.delete(labId)),
    );
    return starting;
  }

  async #request(socket: Socket, request: KeeperRequest): Promise<KeeperState> {
    try {
      return await ask(socket, request);
    } finally {
      socket.destroy();
    }
  }
}

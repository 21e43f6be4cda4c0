/** Between one WebSocket and its connection to a keeper. Of a message it looks at the type alone. */
import type { Socket } from "node:net";
import type { RawData, WebSocket } from "ws";
import { clientTypes, closeCodes, limits } from "../protocol.ts";
import { closeFrameType, decodeClose } from "./control.ts";
import { frameHeaderBytes } from "./framing.ts";
import { RateLimit } from "./rate-limit.ts";

/**
 * Output that lies in the server for one WebSocket, at most, before the keeper has to wait. A client
 * that acknowledges what it reads has at most a snapshot and one window here.
 */
const maxBufferedBytes = 1024 * 1024;

const binary = { binary: true, compress: false } as const;

export interface BridgeOptions {
  /** A socket that answers no ping for so long is dropped. */
  readonly heartbeatMs: number;
  readonly messagesPerSecond: number;
}

const { input, run } = clientTypes;

function asBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

export class Bridge {
  readonly #webSocket: WebSocket;
  readonly #rate: RateLimit;
  readonly #heartbeat: NodeJS.Timeout;
  readonly #onUse: () => void;
  #keeper: Socket | undefined;
  #alive = true;
  #closing = false;

  /** Holds what the client says until `connect`. `onUse` is told each time that somebody types. */
  constructor(webSocket: WebSocket, options: BridgeOptions, onUse: () => void) {
    this.#onUse = onUse;
    this.#webSocket = webSocket;
    this.#rate = new RateLimit(options.messagesPerSecond);
    webSocket.pause();
    webSocket.on("message", (data, isBinary) => this.#fromClient(asBuffer(data), isBinary));
    webSocket.on("pong", () => {
      this.#alive = true;
    });
    // ws has closed with the right code by the time it tells: 1009 for size, 1002 for framing.
    webSocket.on("error", () => this.#end());
    webSocket.on("close", () => this.#end());
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs);
    this.#heartbeat.unref();
  }

  /** Lets messages flow. `keeper` has answered `attach` already. */
  connect(keeper: Socket): void {
    this.#keeper = keeper;
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) {
      this.#end();
      return;
    }
    keeper.on("drain", () => {
      if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.resume();
    });
    keeper.on("close", () => {
      this.close(closeCodes.internalError, "the process that keeps this terminal has ended");
    });
    this.#webSocket.resume();
  }

  /** One frame from the keeper. */
  fromKeeper(body: Buffer): void {
    if (body[0] === closeFrameType) {
      const { closeCode, reason } = decodeClose(body);
      this.close(closeCode, reason);
      return;
    }
    if (this.#closing) return;
    if (this.#webSocket.bufferedAmount + body.byteLength < maxBufferedBytes) {
      this.#webSocket.send(body, binary);
      return;
    }
    this.#keeper?.pause();
    this.#webSocket.send(body, binary, () => {
      if (this.#webSocket.bufferedAmount < maxBufferedBytes) this.#keeper?.resume();
    });
  }

  /** Closes both sides; the first reason counts. */
  close(closeCode: number, reason: string): void {
    if (!this.#closing) this.#webSocket.close(closeCode, reason);
    // A closing handshake has to be read, also where messages were held back.
    if (this.#webSocket.isPaused) this.#webSocket.resume();
    this.#end();
  }

  #fromClient(data: Buffer, isBinary: boolean): void {
    this.#alive = true;
    if (this.#closing || this.#keeper === undefined) return;
    if (!this.#rate.take()) {
      this.close(closeCodes.policyViolation, "too many messages in a second");
      return;
    }
    if (!isBinary) {
      this.close(closeCodes.unsupportedData, "text message: this socket takes binary ones");
      return;
    }
    if (data.byteLength > limits.clientMessageBytes) {
      this.close(closeCodes.messageTooBig, `a message over ${limits.clientMessageBytes} bytes`);
      return;
    }
    if (data[0] === input || data[0] === run) this.#onUse();
    const framed = Buffer.allocUnsafe(frameHeaderBytes + data.byteLength);
    framed.writeUInt32BE(data.byteLength, 0);
    data.copy(framed, frameHeaderBytes);
    if (!this.#keeper.write(framed)) this.#webSocket.pause();
  }

  #beat(): void {
    if (!this.#alive) {
      this.#webSocket.terminate();
      this.#end();
      return;
    }
    this.#alive = false;
    this.#webSocket.ping();
  }

  #end(): void {
    this.#closing = true;
    clearInterval(this.#heartbeat);
    this.#keeper?.destroy();
  }
}

/** One attached connection and how much output it has in flight. */
import type { Socket } from "node:net";
import {
  closeCodes,
  encodeServerMessage,
  limits,
  ProtocolError,
  type ServerMessage,
  type TerminalSize,
} from "../../protocol.ts";
import { encodeClose } from "../control.ts";
import { frame } from "../framing.ts";
import type { Snapshot } from "./mirror.ts";
import { outputOffset } from "./output-gatherer.ts";

export class Viewer {
  readonly #socket: Socket;
  #inFlightBytes = 0;
  #full = false;
  /** Room that this viewer has; unknown until it said so. */
  size: TerminalSize | undefined;
  /** It skipped output and needs a snapshot before it takes output again. */
  behind = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Output sent and not acknowledged, bytes. */
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** From the high watermark on until the low one is reached, both inclusive. */
  get full(): boolean {
    // A client may acknowledge what it never read: what lies in the socket counts on its own.
    const bytes = Math.max(this.#inFlightBytes, this.#socket.writableLength);
    this.#full = this.#full ? bytes > limits.lowWaterBytes : bytes >= limits.highWaterBytes;
    return this.#full;
  }

  /** `outputFrame`: as the gatherer makes them; shared with other viewers, so never changed. */
  sendOutput(outputFrame: Buffer): void {
    this.#inFlightBytes += outputFrame.byteLength - outputOffset;
    this.#socket.write(outputFrame);
  }

  sendSnapshot(reason: "attach" | "resync", snapshot: Snapshot): void {
    this.behind = false;
    this.#inFlightBytes += snapshot.bytes.byteLength;
    this.send({ type: "snapshot", reason, ...snapshot });
  }

  send(message: ServerMessage): void {
    this.#socket.write(frame(encodeServerMessage(message)));
  }

  /** Throws `ProtocolError` where more is acknowledged than was sent. */
  acknowledge(bytes: number): void {
    if (bytes > this.#inFlightBytes) {
      throw new ProtocolError(
        "ack-out-of-range",
        closeCodes.policyViolation,
        `${bytes} bytes acknowledged, ${this.#inFlightBytes} in flight`,
      );
    }
    this.#inFlightBytes -= bytes;
  }

  /** Ends the connection; the gateway closes its WebSocket with this code and reason. */
  close(closeCode: number, reason: string): void {
    this.#socket.end(frame(encodeClose(closeCode, reason)));
  }
}

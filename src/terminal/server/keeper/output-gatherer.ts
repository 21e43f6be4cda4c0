/** Turns the PTY's small chunks into frames: the first one at once, what follows gathered. */
import { outputFrameType } from "../../protocol.ts";
import { frameHeaderBytes } from "../framing.ts";

/** A gathered frame is sent at this size, bytes of output. */
const gatherBytes = 32 * 1024;
/** In each such span only so much is sent at once, in so many frames; the rest is gathered. */
const gatherMs = 2;
const promptBytes = 4 * 1024;
const promptFrames = 16;

/** Bytes in front of the output in a frame: length and type. */
export const outputOffset: number = frameHeaderBytes + 1;

export class OutputGatherer implements Disposable {
  readonly #send: (frame: Buffer) => void;
  #buffer: Buffer | undefined;
  #length = 0;
  #timer: NodeJS.Timeout | undefined;
  #spanStartMs = Number.NEGATIVE_INFINITY;
  #spanBytes = 0;
  #spanFrames = 0;

  /** `send` gets frames ready for a keeper's socket, whose output starts at `outputOffset`. */
  constructor(send: (frame: Buffer) => void) {
    this.#send = send;
  }

  /** `chunk` is copied. */
  push(chunk: Buffer): void {
    if (this.#length === 0 && this.#isPrompt(chunk.byteLength)) {
      const frame = Buffer.allocUnsafe(outputOffset + chunk.byteLength);
      frame.set(chunk, outputOffset);
      this.#emit(frame, chunk.byteLength);
      return;
    }
    let offset = 0;
    while (offset < chunk.byteLength) {
      this.#buffer ??= Buffer.allocUnsafeSlow(outputOffset + gatherBytes);
      const part = chunk.subarray(offset, offset + gatherBytes - this.#length);
      this.#buffer.set(part, outputOffset + this.#length);
      this.#length += part.byteLength;
      offset += part.byteLength;
      if (this.#length === gatherBytes) this.flush();
    }
    if (this.#length > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.flush();
      }, gatherMs);
    }
  }

  /** Sends what was gathered. */
  flush(): void {
    const buffer = this.#buffer;
    const length = this.#length;
    if (buffer === undefined || length === 0) return;
    this.#buffer = undefined;
    this.#length = 0;
    // Most of a nearly empty buffer would be kept alive by whoever keeps the frame.
    const whole = length > gatherBytes / 2;
    this.#emit(
      whole
        ? buffer.subarray(0, outputOffset + length)
        : Buffer.from(buffer.subarray(0, outputOffset + length)),
      length,
    );
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#buffer = undefined;
    this.#length = 0;
  }

  #isPrompt(byteLength: number): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#spanStartMs >= gatherMs) {
      this.#spanStartMs = nowMs;
      this.#spanBytes = 0;
      this.#spanFrames = 0;
    }
    // The first chunk of a span is sent whatever its size.
    const prompt =
      this.#spanFrames === 0 ||
      (this.#spanBytes + byteLength <= promptBytes && this.#spanFrames < promptFrames);
    this.#spanBytes += byteLength;
    this.#spanFrames += 1;
    return prompt;
  }

  #emit(frame: Buffer, length: number): void {
    frame.writeUInt32BE(1 + length, 0);
    frame[frameHeaderBytes] = outputFrameType;
    this.#send(frame);
  }
}

/**
 * Framing on a keeper's unix socket: a 4-byte big-endian length and that many bytes. The first
 * frame of a connection is a JSON request and the first answer a JSON reply (`control.ts`); after a
 * granted `attach` every frame is one message of the wire codec, as it stands in a WebSocket message.
 */

/** Bytes in front of every frame. */
export const frameHeaderBytes = 4;

/** A frame with its length in front, copied into one buffer. */
export function frame(body: Uint8Array): Buffer {
  const buffer = Buffer.allocUnsafe(frameHeaderBytes + body.byteLength);
  buffer.writeUInt32BE(body.byteLength, 0);
  buffer.set(body, frameHeaderBytes);
  return buffer;
}

/** Cuts a byte stream into frames. A frame inside one chunk is handed out without a copy. */
export class FrameReader {
  readonly #maxBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Bytes that `#held` must reach before looking again is of use. */
  #wantedBytes = frameHeaderBytes;

  /** `maxBytes`: bodies over this throw a `RangeError` in `push`, before memory is spent on them. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Calls `onFrame` for each frame that `chunk` completes. Views live as long as their chunk. */
  push(chunk: Buffer, onFrame: (body: Buffer) => void): void {
    let buffer = chunk;
    if (this.#heldBytes > 0) {
      this.#held.push(chunk);
      this.#heldBytes += chunk.byteLength;
      if (this.#heldBytes < this.#wantedBytes) return;
      buffer = Buffer.concat(this.#held, this.#heldBytes);
      this.#held = [];
      this.#heldBytes = 0;
    }
    let offset = 0;
    this.#wantedBytes = frameHeaderBytes;
    while (buffer.byteLength - offset >= frameHeaderBytes) {
      const length = buffer.readUInt32BE(offset);
      if (length > this.#maxBytes) {
        throw new RangeError(`a frame of ${length} bytes is over the limit of ${this.#maxBytes}`);
      }
      const end = offset + frameHeaderBytes + length;
      if (end > buffer.byteLength) {
        this.#wantedBytes = frameHeaderBytes + length;
        break;
      }
      onFrame(buffer.subarray(offset + frameHeaderBytes, end));
      offset = end;
    }
    if (offset < buffer.byteLength) {
      this.#held = [buffer.subarray(offset)];
      this.#heldBytes = buffer.byteLength - offset;
    }
  }
}

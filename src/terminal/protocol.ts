/**
 * The wire codec between a terminal in the browser and the process that owns its PTY. Client and
 * server meet only here. One WebSocket message is one frame: a type byte and a body, always binary.
 * Numbers are unsigned and big-endian unless said otherwise. No DOM and no Node in this file.
 */

/** WebSocket subprotocol; another version of this codec gets another name. */
export const terminalSubprotocol = "patchbay.terminal.v2";

/** Sizes that both sides keep to. */
export const limits = {
  /** Biggest message from a client, bytes, with its type byte. Bigger ones close with 1009. */
  clientMessageBytes: 64 * 1024,
  /** Biggest command that `run` carries, bytes of UTF-8. */
  commandBytes: 8 * 1024,
  columns: { min: 2, max: 500 },
  rows: { min: 1, max: 300 },
  /** Output in flight to one viewer at which it counts as full, bytes (inclusive). */
  highWaterBytes: 256 * 1024,
  /** Output in flight at which a full viewer takes output again, bytes (inclusive). */
  lowWaterBytes: 64 * 1024,
  /** A client acknowledges at least each time so many bytes were drawn, and when nothing waits. */
  ackBytes: 32 * 1024,
} as const;

/** Close codes: RFC 6455 section 7.4.1, and our own in the private range. */
export const closeCodes = {
  normal: 1000,
  protocolError: 1002,
  unsupportedData: 1003,
  invalidText: 1007,
  policyViolation: 1008,
  messageTooBig: 1009,
  internalError: 1011,
  tryAgainLater: 1013,
  /** Somebody closed the terminal; connecting again is of no use. */
  terminalClosed: 4001,
  /** There is no such terminal. */
  terminalUnknown: 4004,
} as const;

export type ProtocolErrorCode =
  | "empty-message"
  | "unknown-type"
  | "wrong-length"
  | "message-too-big"
  | "text-not-utf8"
  | "run-id-invalid"
  | "command-invalid"
  | "size-out-of-range"
  | "ack-out-of-range"
  | "value-out-of-range";

/** A message that breaks the codec. `message` is short enough for a close frame (123 bytes). */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code: ProtocolErrorCode;
  /** What to close the WebSocket with. */
  readonly closeCode: number;

  constructor(code: ProtocolErrorCode, closeCode: number, message: string) {
    super(message);
    this.code = code;
    this.closeCode = closeCode;
  }
}

export interface TerminalSize {
  /** 2 to 500. */
  readonly columns: number;
  /** 1 to 300. */
  readonly rows: number;
}

/** What a client says. */
export type ClientMessage =
  /** Bytes for the PTY, as typed. */
  | { readonly type: "input"; readonly bytes: Uint8Array }
  /**
   * A command to type for the user, at a prompt. An `id` is typed at most once in the life of its
   * terminal. `interrupt`: Ctrl-C first, where something runs. `anyway`: also where no prompt waits.
   */
  | {
      readonly type: "run";
      readonly id: string;
      readonly command: string;
      readonly interrupt: boolean;
      readonly anyway: boolean;
    }
  /** The size that this viewer has room for. */
  | ({ readonly type: "resize" } & TerminalSize)
  /** Bytes of output and snapshots drawn since the last one. */
  | { readonly type: "ack"; readonly bytes: number }
  /** Answered by `pong` with the same token, by the process that owns the PTY. */
  | { readonly type: "ping"; readonly token: number };

/** What became of a `run`. */
export type RunOutcome =
  /** It was typed. */
  | "typed"
  /** This id was typed before; nothing happened. */
  | "duplicate"
  /** A full-screen program is open; nothing was typed. */
  | "full-screen"
  /** No prompt waits: a command runs, or asks for something, or is not complete; nothing was typed. */
  | "no-prompt"
  /** The shell has ended; nothing was typed. */
  | "ended"
  /** Too much input waits already; nothing was typed. */
  | "busy";

/** Things a viewer is told that are not output. */
export type NoticeCode =
  /** The program doesn't read, and the input that waits for it is at its limit: input was dropped. */
  | "input-refused"
  /** Input that waited was dropped because the user pressed Ctrl-C. */
  | "input-dropped";

/** What the server says. */
export type ServerMessage =
  /** Bytes from the PTY, cut anywhere, also inside a character. */
  | { readonly type: "output"; readonly bytes: Uint8Array }
  /** The screen with its scrollback: forget what was drawn, take this size, draw these bytes. */
  | ({
      readonly type: "snapshot";
      /** `resync` when this viewer was too slow and skipped output. */
      readonly reason: "attach" | "resync";
      readonly bytes: Uint8Array;
    } & TerminalSize)
  /** The size that all viewers share from here on in the stream: the smallest viewer's. */
  | ({ readonly type: "size" } & TerminalSize)
  /** The program ended; output is complete. `code` is -1 where a signal ended it. */
  | { readonly type: "exited"; readonly code: number; readonly signal: number }
  | { readonly type: "run-acknowledged"; readonly id: string; readonly outcome: RunOutcome }
  | { readonly type: "notice"; readonly code: NoticeCode; readonly text: string }
  | { readonly type: "pong"; readonly token: number };

export const clientTypes = { input: 0x01, run: 0x02, resize: 0x03, ack: 0x04, ping: 0x05 } as const;
const serverTypes = {
  output: 0x81,
  snapshot: 0x82,
  size: 0x83,
  exited: 0x84,
  "run-acknowledged": 0x85,
  notice: 0x86,
  pong: 0x87,
} as const;

/** First byte of an `output` frame, for senders that build the frame in place. */
export const outputFrameType: number = serverTypes.output;

const outcomes: readonly RunOutcome[] = [
  "typed",
  "duplicate",
  "full-screen",
  "no-prompt",
  "ended",
  "busy",
];
/** Bits of a `run` frame's second byte. */
const runFlags = { interrupt: 0x01, anyway: 0x02 } as const;
const notices: readonly NoticeCode[] = ["input-refused", "input-dropped"];
const reasons = ["attach", "resync"] as const;

const runIdPattern = /^[A-Za-z0-9_.:-]{1,64}$/;
const encoder = new TextEncoder();
// `ignoreBOM` keeps U+FEFF, so that text survives the way there and back unchanged.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isInteger(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function checkSize({ columns, rows }: TerminalSize): void {
  if (
    !isInteger(columns, limits.columns.min, limits.columns.max) ||
    !isInteger(rows, limits.rows.min, limits.rows.max)
  ) {
    throw new ProtocolError(
      "size-out-of-range",
      closeCodes.policyViolation,
      `a terminal of ${columns}×${rows} is outside 2×1 to 500×300`,
    );
  }
}

/** Bounds a measured size to what the wire takes: whole columns 2 to 500, whole rows 1 to 300. */
export function clampSize(size: TerminalSize): TerminalSize {
  const clamp = (value: number, { min, max }: { min: number; max: number }) =>
    Number.isFinite(value) ? Math.min(max, Math.max(min, Math.floor(value))) : min;
  return { columns: clamp(size.columns, limits.columns), rows: clamp(size.rows, limits.rows) };
}

function checkCounter(value: number, code: ProtocolErrorCode, name: string): void {
  if (!isInteger(value, 0, 0xffff_ffff)) {
    throw new ProtocolError(code, closeCodes.protocolError, `${name} ${value} does not fit`);
  }
}

function checkRunId(id: string): void {
  if (!runIdPattern.test(id)) {
    throw new ProtocolError(
      "run-id-invalid",
      closeCodes.protocolError,
      "a run id is 1 to 64 of A-Z a-z 0-9 _ . : -",
    );
  }
}

function withType(type: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(1 + body.byteLength);
  frame[0] = type;
  frame.set(body, 1);
  return frame;
}

function numbers(
  type: number,
  byteLength: number,
  fill: (view: DataView) => void,
): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(1 + byteLength);
  frame[0] = type;
  fill(new DataView(frame.buffer, 1));
  return frame;
}

/**
 * One client message as a frame.
 * Throws `ProtocolError` for what the other side would refuse: sizes out of range or not whole,
 * invalid ids, messages over `limits`.
 */
export function encodeClientMessage(message: ClientMessage): Uint8Array<ArrayBuffer> {
  switch (message.type) {
    case "input":
      checkClientLength(1 + message.bytes.byteLength);
      return withType(clientTypes.input, message.bytes);
    case "run": {
      checkRunId(message.id);
      const command = encoder.encode(message.command);
      checkCommand(command.byteLength);
      const frame = new Uint8Array(3 + message.id.length + command.byteLength);
      frame[0] = clientTypes.run;
      frame[1] =
        (message.interrupt ? runFlags.interrupt : 0) | (message.anyway ? runFlags.anyway : 0);
      frame[2] = message.id.length;
      frame.set(encoder.encode(message.id), 3);
      frame.set(command, 3 + message.id.length);
      return frame;
    }
    case "resize":
      checkSize(message);
      return numbers(clientTypes.resize, 4, (view) => {
        view.setUint16(0, message.columns);
        view.setUint16(2, message.rows);
      });
    case "ack":
      checkCounter(message.bytes, "ack-out-of-range", "the acknowledged count");
      return numbers(clientTypes.ack, 4, (view) => view.setUint32(0, message.bytes));
    case "ping":
      checkCounter(message.token, "value-out-of-range", "the ping token");
      return numbers(clientTypes.ping, 4, (view) => view.setUint32(0, message.token));
  }
}

function checkClientLength(byteLength: number): void {
  if (byteLength > limits.clientMessageBytes) {
    throw new ProtocolError(
      "message-too-big",
      closeCodes.messageTooBig,
      `a message of ${byteLength} bytes is over ${limits.clientMessageBytes}`,
    );
  }
}

function checkCommand(byteLength: number): void {
  if (byteLength < 1 || byteLength > limits.commandBytes) {
    throw new ProtocolError(
      "command-invalid",
      closeCodes.protocolError,
      `a command has 1 to ${limits.commandBytes} bytes, not ${byteLength}`,
    );
  }
}

function expectLength(frame: Uint8Array, name: string, min: number, max = min): void {
  if (frame.byteLength < min || frame.byteLength > max) {
    throw new ProtocolError(
      "wrong-length",
      closeCodes.protocolError,
      `${name} message of ${frame.byteLength} bytes`,
    );
  }
}

function viewOf(frame: Uint8Array): DataView {
  return new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
}

function decodeText(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    const error = new ProtocolError(
      "text-not-utf8",
      closeCodes.invalidText,
      "text that is not UTF-8",
    );
    error.cause = cause;
    throw error;
  }
}

function decodeRunId(bytes: Uint8Array): string {
  const id = decodeText(bytes);
  checkRunId(id);
  return id;
}

function typeByte(frame: Uint8Array): number {
  const type = frame[0];
  if (type === undefined) {
    throw new ProtocolError("empty-message", closeCodes.protocolError, "an empty message");
  }
  return type;
}

function unknownType(type: number): ProtocolError {
  return new ProtocolError(
    "unknown-type",
    closeCodes.protocolError,
    `unknown message type 0x${type.toString(16).padStart(2, "0")}`,
  );
}

/**
 * One frame from a client. Byte fields are views of `frame`, not copies.
 * Throws `ProtocolError` on anything that `encodeClientMessage` cannot have made.
 */
export function decodeClientMessage(frame: Uint8Array): ClientMessage {
  const type = typeByte(frame);
  checkClientLength(frame.byteLength);
  switch (type) {
    case clientTypes.input:
      return { type: "input", bytes: frame.subarray(1) };
    case clientTypes.run: {
      expectLength(frame, "run", 5, limits.clientMessageBytes);
      const [, flags = 0, idLength = 0] = frame;
      if ((flags & ~(runFlags.interrupt | runFlags.anyway)) !== 0) {
        throw new ProtocolError(
          "value-out-of-range",
          closeCodes.protocolError,
          `unknown run flags ${flags}`,
        );
      }
      const idEnd = 3 + idLength;
      if (idEnd > frame.byteLength) expectLength(frame, "run", idEnd);
      const id = decodeRunId(frame.subarray(3, idEnd));
      checkCommand(frame.byteLength - idEnd);
      return {
        type: "run",
        id,
        command: decodeText(frame.subarray(idEnd)),
        interrupt: (flags & runFlags.interrupt) !== 0,
        anyway: (flags & runFlags.anyway) !== 0,
      };
    }
    case clientTypes.resize: {
      expectLength(frame, "resize", 5);
      const view = viewOf(frame);
      const size = { columns: view.getUint16(1), rows: view.getUint16(3) };
      checkSize(size);
      return { type: "resize", ...size };
    }
    case clientTypes.ack:
      expectLength(frame, "ack", 5);
      return { type: "ack", bytes: viewOf(frame).getUint32(1) };
    case clientTypes.ping:
      expectLength(frame, "ping", 5);
      return { type: "ping", token: viewOf(frame).getUint32(1) };
    default:
      throw unknownType(type);
  }
}

/** One server message as a frame. Throws `ProtocolError` for sizes, ids and numbers out of range. */
export function encodeServerMessage(message: ServerMessage): Uint8Array<ArrayBuffer> {
  switch (message.type) {
    case "output":
      return withType(serverTypes.output, message.bytes);
    case "snapshot": {
      checkSize(message);
      const frame = numbers(serverTypes.snapshot, 5 + message.bytes.byteLength, (view) => {
        view.setUint8(0, reasons.indexOf(message.reason));
        view.setUint16(1, message.columns);
        view.setUint16(3, message.rows);
      });
      frame.set(message.bytes, 6);
      return frame;
    }
    case "size":
      checkSize(message);
      return numbers(serverTypes.size, 4, (view) => {
        view.setUint16(0, message.columns);
        view.setUint16(2, message.rows);
      });
    case "exited":
      return numbers(serverTypes.exited, 5, (view) => {
        view.setInt32(0, message.code);
        view.setUint8(4, message.signal);
      });
    case "run-acknowledged": {
      checkRunId(message.id);
      const frame = new Uint8Array(2 + message.id.length);
      frame[0] = serverTypes["run-acknowledged"];
      frame[1] = outcomes.indexOf(message.outcome);
      frame.set(encoder.encode(message.id), 2);
      return frame;
    }
    case "notice": {
      const text = encoder.encode(message.text);
      const frame = new Uint8Array(2 + text.byteLength);
      frame[0] = serverTypes.notice;
      frame[1] = notices.indexOf(message.code);
      frame.set(text, 2);
      return frame;
    }
    case "pong":
      checkCounter(message.token, "value-out-of-range", "the pong token");
      return numbers(serverTypes.pong, 4, (view) => view.setUint32(0, message.token));
  }
}

function named<T>(names: readonly T[], index: number | undefined, what: string): T {
  const name = names[index ?? -1];
  if (name === undefined) {
    throw new ProtocolError(
      "value-out-of-range",
      closeCodes.protocolError,
      `unknown ${what} ${index}`,
    );
  }
  return name;
}

/**
 * One frame from the server. Byte fields are views of `frame`, not copies.
 * Throws `ProtocolError` on anything that `encodeServerMessage` cannot have made.
 */
export function decodeServerMessage(frame: Uint8Array): ServerMessage {
  const type = typeByte(frame);
  const view = viewOf(frame);
  switch (type) {
    case serverTypes.output:
      return { type: "output", bytes: frame.subarray(1) };
    case serverTypes.snapshot: {
      expectLength(frame, "snapshot", 6, Number.POSITIVE_INFINITY);
      const size = { columns: view.getUint16(2), rows: view.getUint16(4) };
      checkSize(size);
      const reason = named(reasons, frame[1], "snapshot reason");
      return { type: "snapshot", reason, ...size, bytes: frame.subarray(6) };
    }
    case serverTypes.size: {
      expectLength(frame, "size", 5);
      const size = { columns: view.getUint16(1), rows: view.getUint16(3) };
      checkSize(size);
      return { type: "size", ...size };
    }
    case serverTypes.exited:
      expectLength(frame, "exited", 6);
      return { type: "exited", code: view.getInt32(1), signal: view.getUint8(5) };
    case serverTypes["run-acknowledged"]:
      expectLength(frame, "run-acknowledged", 3, 66);
      return {
        type: "run-acknowledged",
        outcome: named(outcomes, frame[1], "run outcome"),
        id: decodeRunId(frame.subarray(2)),
      };
    case serverTypes.notice:
      expectLength(frame, "notice", 2, 4096);
      return {
        type: "notice",
        code: named(notices, frame[1], "notice"),
        text: decodeText(frame.subarray(2)),
      };
    case serverTypes.pong:
      expectLength(frame, "pong", 5);
      return { type: "pong", token: view.getUint32(1) };
    default:
      throw unknownType(type);
  }
}

/** What a gateway and a keeper say to each other before a connection carries a terminal's stream. */
import type { PtyCommand } from "../../../sandbox/index.ts";
import type { TerminalSize } from "../protocol.ts";
import { TerminalError, type TerminalErrorCode } from "./errors.ts";

/** Raised with every change of this conversation, so that an upgrade doesn't talk past an old keeper. */
export const controlVersion = 2;

/** Biggest JSON frame either way, bytes. */
export const controlFrameBytes = 1024 * 1024;

/** First byte of a keeper's last frame on an attached connection: not part of the wire codec. */
export const closeFrameType = 0x00;

/** Whose shell a terminal has, and what it is called. */
export interface TerminalPlace {
  /** Name of the lab host. */
  readonly host: string;
  /** What a lesson calls it: there is at most one terminal of a name on a host. */
  readonly name?: string;
  /** What its user calls it. */
  readonly title?: string;
}

export interface TerminalInfo extends TerminalSize, TerminalPlace {
  readonly id: string;
  /** From 1, in the order in which the lab's terminals were opened. */
  readonly number: number;
  /** Set once the shell has ended; `code` is -1 where a signal ended it. */
  readonly exited?: { readonly code: number };
}

export type ControlRequest = { readonly version: number } & (
  | { readonly op: "list" }
  | ({
      readonly op: "open";
      readonly terminalId: string;
      readonly command: PtyCommand;
    } & TerminalSize &
      TerminalPlace)
  /** An empty title takes it away. */
  | { readonly op: "rename"; readonly terminalId: string; readonly title: string }
  | { readonly op: "close"; readonly terminalId: string }
  | { readonly op: "attach"; readonly terminalId: string }
  | { readonly op: "shut-down" }
);

export type ControlReply =
  | { readonly ok: true; readonly keeperPid: number; readonly terminals: readonly TerminalInfo[] }
  | {
      readonly ok: false;
      readonly error: { readonly code: TerminalErrorCode; readonly message: string };
    };

/** The frame that makes a gateway close its WebSocket: code and reason (at most 123 bytes). */
export function encodeClose(closeCode: number, reason: string): Buffer {
  const text = Buffer.from(reason, "utf8").subarray(0, 123);
  const body = Buffer.allocUnsafe(3 + text.byteLength);
  body[0] = closeFrameType;
  body.writeUInt16BE(closeCode, 1);
  body.set(text, 3);
  return body;
}

export function decodeClose(body: Buffer): { readonly closeCode: number; readonly reason: string } {
  return { closeCode: body.readUInt16BE(1), reason: body.subarray(3).toString("utf8") };
}

const terminalIdPattern = /^[a-z0-9-]{1,40}$/;
const namePattern = /^[a-z0-9][a-z0-9-]{0,23}$/;
/** Longest title, characters. */
export const maxTitleLength = 40;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readCommand(value: unknown): PtyCommand {
  if (isRecord(value)) {
    const { file, args, env } = value;
    if (
      typeof file === "string" &&
      file !== "" &&
      Array.isArray(args) &&
      args.every((arg): arg is string => typeof arg === "string") &&
      isRecord(env) &&
      Object.values(env).every((entry) => typeof entry === "string")
    ) {
      return { file, args, env: env as Record<string, string> };
    }
  }
  throw new TerminalError(
    "command-invalid",
    "a command to run in a terminal needs a file, args and env, all of them strings",
  );
}

function readTerminalId(value: unknown): string {
  if (typeof value === "string" && terminalIdPattern.test(value)) return value;
  throw new TerminalError(
    "terminal-id-invalid",
    "a terminal id is 1 to 40 characters of a-z, 0-9 and -",
  );
}

function readPlace(value: Record<string, unknown>): TerminalPlace {
  const { host, name, title } = value;
  for (const text of [host, name ?? "main"]) {
    if (typeof text === "string" && namePattern.test(text)) continue;
    throw new TerminalError(
      "terminal-name-invalid",
      "names of hosts and terminals have 1 to 24 characters of a-z, 0-9 and -",
    );
  }
  return {
    host: host as string,
    ...(name !== undefined && { name: name as string }),
    ...(title !== undefined && { title: readTitle(title) }),
  };
}

function readTitle(value: unknown): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  const unfit = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
  if (typeof value === "string" && value.length <= maxTitleLength && !unfit.test(value)) {
    return value.trim();
  }
  throw new TerminalError(
    "terminal-name-invalid",
    `a terminal's title is one line of at most ${maxTitleLength} characters`,
  );
}

/**
 * A request as it came over the socket. Throws `TerminalError` `keeper-version` for another
 * version's, the other codes for fields that don't fit, `SyntaxError` for what is no JSON.
 */
export function decodeRequest(body: Buffer): ControlRequest {
  const value: unknown = JSON.parse(body.toString("utf8"));
  // Any version may end a keeper: that is how an upgrade gets rid of an old one.
  if (isRecord(value) && value["op"] === "shut-down") {
    return { version: controlVersion, op: "shut-down" };
  }
  if (!isRecord(value) || value["version"] !== controlVersion) {
    throw new TerminalError(
      "keeper-version",
      "this lab's terminals belong to another version of Patchbay: close them, or reset the lab, and open them again",
    );
  }
  const version = controlVersion;
  switch (value["op"]) {
    case "list":
      return { version, op: "list" };
    case "close":
    case "attach":
      return { version, op: value["op"], terminalId: readTerminalId(value["terminalId"]) };
    case "rename":
      return {
        version,
        op: "rename",
        terminalId: readTerminalId(value["terminalId"]),
        title: readTitle(value["title"]),
      };
    case "open": {
      const { columns, rows } = value;
      if (typeof columns !== "number" || typeof rows !== "number") {
        throw new TerminalError("size-invalid", "a terminal needs its columns and rows as numbers");
      }
      return {
        version,
        op: "open",
        terminalId: readTerminalId(value["terminalId"]),
        command: readCommand(value["command"]),
        ...readPlace(value),
        columns,
        rows,
      };
    }
    default:
      throw new TerminalError("command-invalid", `a keeper knows no request ${value["op"]}`);
  }
}

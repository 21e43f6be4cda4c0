/** Stable names of what can go wrong with terminals. */
export type TerminalErrorCode =
  | "terminal-not-found"
  | "terminal-id-invalid"
  | "terminal-name-invalid"
  | "lab-id-invalid"
  | "command-invalid"
  | "size-invalid"
  | "too-many-terminals"
  | "too-many-viewers"
  | "spawn-failed"
  | "keeper-start-failed"
  | "keeper-unreachable"
  | "keeper-version"
  | "socket-path-too-long";

/** For operators and callers: what happened and what to do next. */
export class TerminalError extends Error {
  override readonly name = "TerminalError";
  readonly code: TerminalErrorCode;

  constructor(code: TerminalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

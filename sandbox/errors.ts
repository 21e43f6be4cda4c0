export type SandboxErrorCode =
  | "engine-unreachable"
  | "topology-not-found"
  | "name-taken"
  | "name-invalid"
  | "lab-not-found"
  | "host-not-found"
  | "lab-start-failed"
  | "lab-broken"
  | "inner-engine-unreachable"
  | "inner-engine-timeout"
  | "port-closed"
  | "port-silent"
  | "probe-timeout"
  | "probe-failed";

/** A plug-in that is not as it should be; the message says how to mend it. */
export class PluginError extends Error {
  override readonly name = "PluginError";
}

/** An error for an operator or author: a stable code, what happened, and what to do next. */
export class SandboxError extends Error {
  override readonly name = "SandboxError";
  readonly code: SandboxErrorCode;

  constructor(code: SandboxErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

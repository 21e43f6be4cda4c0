import type { ContentfulStatusCode } from "hono/utils/http-status";
import { SandboxError } from "../../sandbox/index.ts";
import { TerminalError } from "../terminal/server/index.ts";
import { storageErrorOf } from "./database.ts";

/** What the API answers where it can't do what was asked: `{error: {code, message, fix?}}`. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: ContentfulStatusCode;
  readonly code: string;
  /** What to do about it. */
  readonly fix: string | undefined;

  constructor(status: ContentfulStatusCode, code: string, message: string, fix?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.fix = fix;
  }

  toJSON(): object {
    const { code, message, fix } = this;
    return { error: { code, message, ...(fix === undefined ? {} : { fix }) } };
  }
}

const statusOf: Readonly<Record<string, ContentfulStatusCode>> = {
  "topology-not-found": 400,
  "lab-not-found": 404,
  "host-not-found": 404,
  "terminal-not-found": 404,
  "terminal-id-invalid": 404,
  "terminal-name-invalid": 400,
  "size-invalid": 400,
  "too-many-terminals": 429,
};

/** The answer for any error. What is nobody's input is told as ours; its details stay in the log. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof TerminalError || error instanceof SandboxError) {
    return new ApiError(statusOf[error.code] ?? 500, error.code, error.message);
  }
  const fault = storageErrorOf(error);
  if (fault !== undefined) return new ApiError(503, fault.code, fault.message, fault.fix);
  return new ApiError(
    500,
    "internal",
    "The course server failed at this.",
    "Try again; if it stays, tell who runs the server.",
  );
}

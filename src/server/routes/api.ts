/** What the parts of the API share: their services, their context, the bodies of requests. */
import type { HttpBindings } from "@hono/node-server";
import type { Hono } from "hono";
import { z } from "zod";
import type { Exercise } from "../../../graders/index.ts";
import type { TerminalGateway } from "../../terminal/server/index.ts";
import { ApiError } from "../errors.ts";
import type { LabService } from "../labs.ts";
import type { PortLinks } from "../ports/port-links.ts";
import type { ProgressStore } from "../progress.ts";
import type { LabWatches } from "../watches.ts";

export interface ApiServices {
  readonly labs: LabService;
  readonly terminals: TerminalGateway;
  readonly progress: ProgressStore;
  readonly ports: PortLinks;
  /** The course's and those of plug-ins. */
  readonly exercises: readonly Exercise[];
  readonly watches: LabWatches;
  readonly log: (message: string) => void;
}

export interface ApiEnvironment {
  Bindings: HttpBindings;
  /** `session`: id of the session that asks. */
  Variables: { session: string };
}

/** The routes under `/api`: each request there has a session, and a body of bounded size. */
export type Api = Hono<ApiEnvironment>;

/** A request's body as the schema has it. Throws `ApiError` 400 `body-invalid`. */
export async function bodyOf<T>(
  request: { text(): Promise<string> },
  schema: z.ZodType<T>,
): Promise<T> {
  let body: unknown;
  try {
    body = JSON.parse(await request.text());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ApiError(400, "body-invalid", "The body is no JSON.");
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new ApiError(400, "body-invalid", z.prettifyError(parsed.error));
}

/** Questions to a lab host's own engine, with answers that are checked before they are used. */

import { z } from "zod";
import { type InnerEngineRequest, type LabHost, SandboxError } from "../../sandbox/index.ts";

const containerInspection = z.object({
  Id: z.string(),
  State: z.object({
    Running: z.boolean(),
    Pid: z.number().int(),
    Health: z.object({ Status: z.string() }).nullish(),
  }),
});

export type ContainerInspection = z.infer<typeof containerInspection>;

/** An answer of the engine that is no success. `status` is HTTP's. */
export class EngineRefusal extends Error {
  override readonly name = "EngineRefusal";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const refusal = z.object({ message: z.string() });

/**
 * Asks, and resolves with the body. Throws `EngineRefusal` for a status of 400 and above, and
 * `SandboxError` where the engine does not answer.
 */
export async function ask(host: LabHost, request: InnerEngineRequest): Promise<unknown> {
  const { status, body } = await host.innerEngine().request(request);
  if (status < 400) return body;
  const parsed = refusal.safeParse(body);
  throw new EngineRefusal(status, parsed.success ? parsed.data.message : `HTTP status ${status}`);
}

function understood<T>(schema: z.ZodType<T>, body: unknown, path: string): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const what = z.prettifyError(parsed.error).split("\n")[0];
  throw new SandboxError(
    "lab-broken",
    `The engine in the lab answered ${path} with something else than Docker's API does: ${what}`,
  );
}

/** Has something made, and resolves with the id that the engine gives to it. */
export async function create(host: LabHost, path: string, body: object): Promise<string> {
  const made = await ask(host, { method: "POST", path, body });
  return understood(z.object({ Id: z.string().regex(/^[0-9a-f]{12,64}$/) }), made, path).Id;
}

export async function inspectContainer(
  host: LabHost,
  id: string,
  signal?: AbortSignal,
): Promise<ContainerInspection> {
  const path = `/containers/${encodeURIComponent(id)}/json`;
  const body = await ask(host, signal ? { path, signal } : { path });
  return understood(containerInspection, body, path);
}

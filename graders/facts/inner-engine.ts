/** Questions to a lab host's own engine, with answers that are checked before they are used. */

import { z } from "zod";
import { type InnerEngineRequest, type LabHost, SandboxError } from "../../sandbox/index.ts";
import type { NetworkFacts } from "./model.ts";

const network = z.object({
  Id: z.string(),
  Name: z.string(),
  Driver: z.string(),
  Attachable: z.boolean().optional(),
  Options: z.record(z.string(), z.string()).nullish(),
  IPAM: z.object({ Config: z.array(z.object({ Subnet: z.string().optional() })).nullish() }),
});

const containerInspection = z.object({
  Id: z.string(),
  Name: z.string(),
  Config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }),
  State: z.object({
    Running: z.boolean(),
    Paused: z.boolean().optional(),
    Pid: z.number().int(),
    Health: z.object({ Status: z.string() }).nullish(),
  }),
  NetworkSettings: z.object({
    Networks: z.record(z.string(), z.object({ IPAddress: z.string().optional() })).nullish(),
    Ports: z
      .record(z.string(), z.array(z.object({ HostIp: z.string(), HostPort: z.string() })).nullish())
      .nullish(),
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

export async function listNetworks(host: LabHost, signal?: AbortSignal): Promise<NetworkFacts[]> {
  const path = "/networks";
  const body = await ask(host, signal ? { path, signal } : { path });
  return understood(z.array(network), body, path).map(
    ({ Id, Name, Driver, Attachable, Options, IPAM }) => ({
      id: Id,
      name: Name,
      driver: Driver,
      attachable: Attachable ?? false,
      subnets: (IPAM.Config ?? []).flatMap(({ Subnet }) => (Subnet ? [Subnet] : [])),
      ...(Driver === "bridge"
        ? { bridge: Options?.["com.docker.network.bridge.name"] ?? `br-${Id.slice(0, 12)}` }
        : {}),
    }),
  );
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

/** All containers, stopped ones too. One that goes away between list and look is left out. */
export async function listContainers(
  host: LabHost,
  signal?: AbortSignal,
): Promise<ContainerInspection[]> {
  const path = "/containers/json?all=1";
  const body = await ask(host, signal ? { path, signal } : { path });
  const ids = understood(z.array(z.object({ Id: z.string() })), body, path);
  const found = await Promise.all(
    ids.map(async ({ Id }) => {
      try {
        return await inspectContainer(host, Id, signal);
      } catch (error) {
        if (error instanceof EngineRefusal && error.status === 404) return undefined;
        throw error;
      }
    }),
  );
  return found.filter((container) => container !== undefined);
}

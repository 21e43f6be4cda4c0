import { setTimeout as sleep } from "node:timers/promises";
import type { HttpResult, Lab } from "../../sandbox/index.ts";

/** Address of the first host on the network under the lab. */
export const HOST_ADDRESS = "10.77.0.11";

/** A server that was started a moment ago does not listen yet. */
const PATIENCE_MS = 3000;
const AGAIN_MS = 200;

/** What the world outside gets from a port of the host, and whether its request arrives in the container. */
export async function askFromOutside(
  lab: Lab,
  port: number,
  container: { readonly pid: number },
  signal: AbortSignal,
  /** How long to ask again where nobody listens; 0 where that is an answer too. */
  patienceMs = PATIENCE_MS,
): Promise<HttpResult> {
  const probe = {
    from: { kind: "outside" },
    target: { kind: "pid", pid: container.pid },
    address: HOST_ADDRESS,
    port,
  } as const;
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const answer = await lab.host().hand().get(probe, { signal });
    if (answer.error !== "Connection refused" || performance.now() > deadlineMs) return answer;
    await sleep(AGAIN_MS, undefined, { signal });
  }
}

/** In words, of an answer that is not the container's: why. */
export const whyNot = ({ error, arrived, status }: HttpResult): string =>
  error ?? (arrived ? `it answers with status ${status}` : "something else answers");

import type { HttpResult, Lab } from "../../sandbox/index.ts";
import { type Text, words } from "../core/text.ts";
import { patiently } from "./patience.ts";

/** Address of the first host on the network under the lab. */
export const HOST_ADDRESS = "10.77.0.11";

/**
 * What the world outside gets from a port of the host, and whether its request arrives in the container. Where nobody
 * listens it is asked again for a while, unless it is `at: "once"`.
 */
export async function askFromOutside(
  lab: Lab,
  port: number,
  container: { readonly pid: number },
  signal: AbortSignal,
  at: "once" | "patiently" = "patiently",
): Promise<HttpResult> {
  const probe = {
    from: { kind: "outside" },
    target: { kind: "pid", pid: container.pid },
    address: HOST_ADDRESS,
    port,
  } as const;
  const ask = () => lab.host().hand().get(probe, { signal });
  if (at === "once") return ask();
  return patiently(ask, ({ error }) => error === "Connection refused", signal);
}

const anotherAnswers = { en: "something else answers", ru: "отвечает кто-то другой" };

/** In words, of an answer that is not the container's: why. */
export function whyNot({ error, arrived, status }: HttpResult): Text {
  const answered = { en: `it answers with status ${status}`, ru: `ответ со статусом ${status}` };
  return error ?? words`${arrived ? answered : anotherAnswers}`;
}

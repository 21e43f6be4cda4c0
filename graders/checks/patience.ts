import { setTimeout as sleep } from "node:timers/promises";

/** A service that was started a moment ago does not listen yet, nor has it written anything. */
const PATIENCE_MS = 4000;
const AGAIN_MS = 200;

/** Looks again while what was seen may only be too early; resolves with the last that was seen. */
export async function patiently<T>(
  look: () => Promise<T>,
  tooEarly: (seen: T) => boolean,
  signal: AbortSignal,
): Promise<T> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const seen = await look();
    if (!tooEarly(seen) || performance.now() > deadlineMs) return seen;
    await sleep(AGAIN_MS, undefined, { signal });
  }
}

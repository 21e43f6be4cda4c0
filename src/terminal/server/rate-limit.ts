/** Messages per second that one WebSocket may send; drawing 90 MB/s takes fewer acknowledgements. */
export const messagesPerSecond = 3_000;

/** A token bucket that holds one second's worth. */
export class RateLimit {
  readonly #perSecond: number;
  #tokens: number;
  #lastMs: number;

  constructor(perSecond: number, nowMs: number = performance.now()) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#lastMs = nowMs;
  }

  /** Takes one; `false` where none is left. */
  take(nowMs: number = performance.now()): boolean {
    const refill = ((nowMs - this.#lastMs) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + refill);
    this.#lastMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

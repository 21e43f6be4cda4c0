/** Which commands were sent to which terminal, so that none is ever typed twice. */
import type { RunOutcome } from "../protocol.ts";

interface Sent {
  readonly terminalId: string;
  acknowledged: boolean;
}

export class RunLedger {
  readonly #sent = new Map<string, Sent>();

  /**
   * What is known of a run: `typed`; or the terminal that it was sent to, whose keeper knows whether it arrived;
   * `undefined` for a new one.
   */
  find(id: string): "typed" | { readonly terminalId: string } | undefined {
    const sent = this.#sent.get(id);
    return sent?.acknowledged ? "typed" : sent;
  }

  sent(id: string, terminalId: string): void {
    this.#sent.set(id, { terminalId, acknowledged: false });
  }

  acknowledge(id: string, outcome: RunOutcome): void {
    const sent = this.#sent.get(id);
    if (sent === undefined) return;
    // What was refused may be tried again, in any terminal.
    if (outcome === "typed" || outcome === "duplicate") sent.acknowledged = true;
    else this.#sent.delete(id);
  }
}

/** Which commands were sent to which terminal, so that none is ever typed twice. */
import type { RunOutcome } from "../protocol.ts";

interface Sent {
  readonly terminalId: string;
  acknowledged: boolean;
}

export class RunLedger {
  readonly #sent = new Map<string, Sent>();

  /**
   * Where a run with this id may go: the terminal that it went to before, whose keeper knows
   * whether it arrived; `undefined` once it was typed.
   */
  target(id: string, activeTerminalId: string): string | undefined {
    const sent = this.#sent.get(id);
    if (sent === undefined) return activeTerminalId;
    return sent.acknowledged ? undefined : sent.terminalId;
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

/** Commands of a lesson on their way into terminals. */
import type { RunOutcome } from "../protocol.ts";
import { RunLedger } from "./run-ledger.ts";
import type { Session } from "./session.ts";

export interface RunRequest {
  /** Typed at most once, however often it is asked for. */
  readonly id: string;
  readonly command: string;
  /** Default: the lab's first host. */
  readonly host?: string | undefined;
  /** Name of a terminal of that host, opened where there is none. */
  readonly terminal?: string | undefined;
  /** Ctrl-C first, where something runs. */
  readonly interrupt?: boolean;
  /** Also where no prompt waits. */
  readonly anyway?: boolean;
}

export interface RunAnswer {
  readonly outcome:
    | RunOutcome
    /** Nothing was sent, and nothing will be later. */
    | "not-connected"
    /** It was sent, and the connection was lost before the answer. The same id may be tried again. */
    | "unknown"
    /** `problem` says why. */
    | "not-opened"
    | "no-host";
  /** What the terminal's tab says. */
  readonly terminal: string;
  readonly problem?: string;
}

/** Sends runs and waits for what became of them. */
export class Runs {
  readonly #ledger = new RunLedger();
  /** In the order in which they were sent; a terminal answers in that order. */
  #waiting: {
    readonly id: string;
    readonly terminalId: string;
    settle(outcome: RunAnswer["outcome"]): void;
  }[] = [];

  /** The terminal that a run was sent to before, or that it was typed already. */
  find(id: string): ReturnType<RunLedger["find"]> {
    return this.#ledger.find(id);
  }

  send(session: Session, request: RunRequest): Promise<RunAnswer["outcome"]> {
    const { id, command, interrupt = false, anyway = false } = request;
    if (session.exited) return Promise.resolve("ended");
    if (!session.run({ id, command, interrupt, anyway })) return Promise.resolve("not-connected");
    this.#ledger.sent(id, session.entry.id);
    return new Promise((settle) => {
      this.#waiting.push({ id, terminalId: session.entry.id, settle });
    });
  }

  acknowledge(id: string, outcome: RunOutcome): void {
    this.#ledger.acknowledge(id, outcome);
    const at = this.#waiting.findIndex((waiting) => waiting.id === id);
    if (at >= 0) this.#waiting.splice(at, 1)[0]?.settle(outcome);
  }

  /** A terminal's connection is gone: nobody knows what became of what was sent just then. */
  lost(terminalId: string): void {
    const here = this.#waiting.filter((waiting) => waiting.terminalId === terminalId);
    this.#waiting = this.#waiting.filter((waiting) => waiting.terminalId !== terminalId);
    for (const { settle } of here) settle("unknown");
  }
}

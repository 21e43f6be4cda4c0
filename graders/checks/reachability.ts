import type { LabHost, NamespaceRef } from "../../sandbox/index.ts";
import { type Failed, fail, type Passed, pass } from "../core/exercise.ts";

/** A place in the lab: what a probe leaves from, and what it must be seen arriving in. */
export interface Place {
  readonly label: string;
  readonly at: NamespaceRef;
  readonly address: string;
}

export interface Way {
  readonly from: Place;
  readonly to: Place;
  readonly reaches: boolean;
}

const COUNT = 3;

/** Pings from each place to each other one, all at once; a way counts when every request arrives there and comes back. */
export async function pingMatrix(
  host: LabHost,
  places: readonly Place[],
  signal: AbortSignal,
): Promise<readonly Way[]> {
  const pairs = places.flatMap((from) =>
    places.filter((to) => to !== from).map((to) => ({ from, to })),
  );
  return Promise.all(
    pairs.map(async ({ from, to }) => {
      const probe = { from: from.at, target: to.at, address: to.address };
      const timing = { count: COUNT, intervalMs: 50, lastReplyWaitMs: 700 };
      const ping = await host.hand().ping({ ...probe, ...timing }, { signal });
      const { sent, arrived, answeredByTarget, received } = ping;
      const reaches = [sent, arrived, answeredByTarget, received].every((count) => count === COUNT);
      return { from, to, reaches };
    }),
  );
}

/** The ways as a grid, rows from, columns to. */
export function grid(ways: readonly Way[]): string {
  const labels = [...new Set(ways.map(({ from }) => from.label))];
  const width = Math.max(...labels.map((label) => label.length));
  const cell = (from: string, to: string) => {
    if (from === to) return "·";
    return ways.find((way) => way.from.label === from && way.to.label === to)?.reaches ? "✔" : "✖";
  };
  const row = (name: string, cells: readonly string[]) =>
    `${name.padEnd(width)}  ${cells.map((text) => text.padEnd(width)).join("  ")}`.trimEnd();
  return [
    row("from \\ to", labels),
    ...labels.map((from) =>
      row(
        from,
        labels.map((to) => cell(from, to)),
      ),
    ),
  ].join("\n");
}

/** Passes where every place reaches every other one; else fails with the grid. */
export function fullMatrix(ways: readonly Way[], hint: string): Passed<undefined> | Failed {
  const lost = ways.filter(({ reaches }) => !reaches);
  const all = `each of the ${ways.length} ways carries pings`;
  if (lost.length === 0) return pass(undefined, all);
  return fail(all, `${lost.length} of ${ways.length} do not\n${grid(ways)}`, hint);
}

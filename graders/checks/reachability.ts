import type { Lab, NamespaceRef } from "../../sandbox/index.ts";
import {
  type Check,
  type CheckContext,
  check,
  type Failed,
  fail,
  type Needs,
  type Passed,
  pass,
  type ValuesOf,
} from "../core/exercise.ts";
import { eachLanguage, en, joined, ru, type Text, words } from "../core/text.ts";
import { patiently } from "./patience.ts";

/** Where a probe leaves from. */
export interface Place {
  /** A short name, which heads a row or a column of the grid. */
  readonly label: string;
  readonly at: NamespaceRef;
  /** Name of the lab host that it is on; default: the first one. */
  readonly host?: string;
}

/** Where a probe must be seen arriving. */
export interface Target extends Place {
  /** IPv4 address that is tried. */
  readonly address: string;
}

/** What is tried: echo requests, a TCP connection, a datagram. */
export type Over = "ping" | `tcp/${number}` | `udp/${number}`;

/** A way that should lead somewhere, or should not. */
export interface Way {
  readonly from: Place;
  readonly to: Target;
  readonly over: Over;
  readonly reaches: boolean;
}

export interface TriedWay extends Way {
  /** What is in fact so. */
  readonly reached: boolean;
  /** In words: `3 of 3 arrived, 0 came back`. */
  readonly seen: Text;
}

/** From each place to each other one; `reaches` says what should be. */
export const allWays = (
  places: readonly Target[],
  { over = "ping", reaches = true }: { readonly over?: Over; readonly reaches?: boolean } = {},
): Way[] =>
  places.flatMap((from) =>
    places.filter((to) => to !== from).map((to) => ({ from, to, over, reaches })),
  );

const ECHOES = 3;
const noRoute = { en: "no route leads there", ru: "маршрута туда нет" };
const unsent: Readonly<Record<string, Text>> = {
  ENETUNREACH: noRoute,
  EHOSTUNREACH: { en: "the next hop does not answer", ru: "следующий узел не отвечает" },
  EINVAL: noRoute,
};
/** Each probe is a process of the trusted hand for as long as it waits. */
const AT_ONCE = 16;

async function tryWay(lab: Lab, way: Way, signal: AbortSignal): Promise<TriedWay> {
  const { from, to, over } = way;
  const hand = lab.host(from.host).hand();
  const aim = {
    from: from.at,
    target: to.at,
    address: to.address,
    ...(to.host === undefined || to.host === from.host ? {} : { targetHost: to.host }),
  };
  if (over === "ping") {
    const timing = { count: ECHOES, intervalMs: 50, lastReplyWaitMs: 700 };
    const ping = await hand.ping({ ...aim, ...timing }, { signal });
    const { sent, arrived, answeredByTarget, received, icmpErrors, sendError } = ping;
    const counts = [sent, arrived, answeredByTarget, received];
    const whole = counts.every((count) => count === ECHOES);
    const none = arrived === 0 && received === 0;
    const why = [...(sendError ? [unsent[sendError] ?? sendError] : []), ...icmpErrors];
    const told = {
      en: `${arrived} of ${ECHOES} echo requests arrived, ${received} were answered`,
      ru: `дошло ${arrived} из ${ECHOES} эхо-запросов, ответов ${received}`,
    };
    const seen = why.length > 0 ? words`${told}: ${joined(why, ", ")}` : told;
    // What gets through in part is neither the one nor the other.
    return { ...way, reached: way.reaches ? whole : !none, seen };
  }
  const port = Number(over.slice(4));
  const probe = { ...aim, port };
  const { arrived, error } = await patiently(
    async (): Promise<{ readonly arrived: boolean; readonly error?: string }> =>
      over.startsWith("tcp") ? hand.tcp(probe, { signal }) : hand.udp(probe, { signal }),
    (seen) => way.reaches && seen.error === "Connection refused",
    signal,
  );
  const lost = error ?? { en: "what answers there is not it", ru: "отвечает там кто-то другой" };
  const came = { en: "what was sent arrived", ru: "отправленное дошло" };
  return { ...way, reached: arrived, seen: arrived ? came : lost };
}

/** Tries ways side by side, each by a nonce that must be seen in the target's own namespace. */
export async function tryWays(
  lab: Lab,
  ways: readonly Way[],
  signal: AbortSignal,
): Promise<readonly TriedWay[]> {
  const tried: TriedWay[] = [];
  const waiting = [...ways.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, way] = next;
      tried[index] = await tryWay(lab, way, signal);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return tried;
}

/** Ways as a grid, rows from, columns to: ✔ reaches, ✖ does not, · is not asked. */
export const grid = (ways: readonly TriedWay[], show: "reaches" | "reached"): Text =>
  eachLanguage((language) => drawn(ways, show, corner[language]));

/** Over the rows' names and before the columns'. */
const corner = { en: "from \\ to", ru: "от \\ до" };

function drawn(ways: readonly TriedWay[], show: "reaches" | "reached", head: string): string {
  const kinds = new Set(ways.map(({ over }) => over));
  const column = ({ to, over }: Way) => (kinds.size > 1 ? `${to.label} ${over}` : to.label);
  const rows = [...new Set(ways.map(({ from }) => from.label))];
  // In the order of the rows: what a place reaches of itself is on the diagonal.
  const place = ({ to }: Way) => (rows.includes(to.label) ? rows.indexOf(to.label) : rows.length);
  const columns = [...new Set(ways.toSorted((a, b) => place(a) - place(b)).map(column))];
  const cell = (row: string, title: string) => {
    const way = ways.find((each) => each.from.label === row && column(each) === title);
    return way === undefined ? "·" : way[show] ? "✔" : "✖";
  };
  const lines = [
    [head, ...columns],
    ...rows.map((row) => [row, ...columns.map((title) => cell(row, title))]),
  ];
  const widths = ["", ...columns].map((_, index) =>
    Math.max(...lines.map((line) => line[index]?.length ?? 0)),
  );
  return lines
    .map((line) =>
      line
        .map((text, index) => text.padEnd(widths[index] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const TOLD = 6;

/** Passes where every way is as it should be; else fails with both grids, and what was seen on the ways that are not. */
export function judgeWays(
  tried: readonly TriedWay[],
  hint?: Text,
): Passed<readonly TriedWay[]> | Failed {
  const wrong = tried.filter(({ reaches, reached }) => reaches !== reached);
  if (tried.length === 0) return pass(tried);
  if (wrong.length === 0) return pass(tried, grid(tried, "reached"));
  const lines: Text[] = wrong.slice(0, TOLD).map(({ from, to, over, seen }) => ({
    en: en`${from.label} to ${to.label} (${over}): ${seen}`,
    ru: ru`от ${from.label} до ${to.label} (${over}): ${seen}`,
  }));
  const more = wrong.length - TOLD;
  if (more > 0) lines.push({ en: `and ${more} more`, ru: `и ещё ${more}` });
  return fail(grid(tried, "reaches"), joined([grid(tried, "reached"), ...lines], "\n"), hint);
}

/**
 * A check of who reaches whom: from × to × over. `ways` says what should be so; where it is not, the check fails with
 * the grid as it should be and as it is. Its value is the ways that were tried.
 */
export function reachability<N extends Needs = Record<never, never>>(definition: {
  readonly id: string;
  readonly title: Text;
  readonly needs?: N;
  readonly timeoutMs?: number;
  /** What to look at where a way is not as it should be. */
  readonly hint?: Text;
  ways(context: CheckContext & ValuesOf<N>): readonly Way[] | Promise<readonly Way[]>;
}): Check<readonly TriedWay[]> {
  const { ways, hint, ...rest } = definition;
  return check<readonly TriedWay[], N>({
    ...rest,
    async run(context) {
      const { lab, signal } = context;
      return judgeWays(await tryWays(lab, await ways(context), signal), hint);
    },
  });
}

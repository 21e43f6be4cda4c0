import { junit } from "./junit.ts";
import { pretty } from "./pretty.ts";
import type { Reporter } from "./reporter.ts";
import { tap } from "./tap.ts";

const json: Reporter = (results) => `${JSON.stringify(results, null, 2)}\n`;

export const reporters = { pretty, json, junit, tap } satisfies Record<string, Reporter>;
export type ReporterName = keyof typeof reporters;

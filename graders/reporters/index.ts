import { resultIn } from "../core/results.ts";
import { junit } from "./junit.ts";
import { pretty } from "./pretty.ts";
import type { Format, Reporter } from "./reporter.ts";
import { tap } from "./tap.ts";

const json: Format = (results) => `${JSON.stringify(results, null, 2)}\n`;

const reporter =
  (format: Format): Reporter =>
  (results, { language = "en", ...options }) =>
    format(
      results.map((result) => resultIn(result, language)),
      { ...options, language },
    );

export const reporters = {
  pretty: reporter(pretty),
  json: reporter(json),
  junit: reporter(junit),
  tap: reporter(tap),
} satisfies Record<string, Reporter>;
export type ReporterName = keyof typeof reporters;

import type { CheckResult } from "../core/results.ts";
import type { Format } from "./reporter.ts";

/** In a description `#` would start a directive. */
const described = (text: string): string => text.replace(/[\\#]/g, "\\$&");

function diagnostics(check: CheckResult<string>): string[] {
  const { id: _id, title: _title, status: _status, ...rest } = check;
  const entries = Object.entries(rest);
  if (check.status === "skipped" || entries.length === 0) return [];
  // A JSON string is a YAML string.
  const lines = entries.map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`);
  return ["  ---", ...lines, "  ..."];
}

/** TAP version 14. */
export const tap: Format = (results) => {
  const checks = results.flatMap(({ exercise, checks }) =>
    checks.map((check) => ({ exercise, check })),
  );
  const lines = checks.flatMap(({ exercise, check }, index) => {
    const ok = check.status === "passed" || check.status === "skipped" ? "ok" : "not ok";
    const skip = check.status === "skipped" ? ` # SKIP ${described(check.because)}` : "";
    const title = described(`${exercise}: ${check.title}`);
    return [`${ok} ${index + 1} - ${title}${skip}`, ...diagnostics(check)];
  });
  return ["TAP version 14", `1..${checks.length}`, ...lines, ""].join("\n");
};

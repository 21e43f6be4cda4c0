import type { CheckResult } from "../core/results.ts";
import type { Format } from "./reporter.ts";

/** Characters that XML 1.0 does not allow at all are replaced. */
const escaped = (text: string): string =>
  text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what XML forbids
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd")
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;")
    .replace(/"/g, "&quot;");

function outcome(check: CheckResult<string>): string {
  switch (check.status) {
    case "passed":
      return "";
    case "failed": {
      const hint = check.hint === undefined ? "" : `\nhint: ${check.hint}`;
      const text = `expected: ${check.expected}\nactual: ${check.actual}${hint}`;
      return `<failure message="${escaped(check.actual)}">${escaped(text)}</failure>`;
    }
    case "skipped":
      return `<skipped message="${escaped(check.because)}"/>`;
    case "errored":
      return `<error message="${escaped(check.error)}"/>`;
  }
}

export const junit: Format = (results) => {
  const suites = results.map(({ exercise, checks, durationMs }) => {
    const count = (status: CheckResult["status"]) =>
      checks.filter((check) => check.status === status).length;
    const cases = checks.map(
      (check) =>
        `    <testcase classname="${escaped(exercise)}" name="${escaped(check.title)}">${outcome(check)}</testcase>`,
    );
    const counts = `tests="${checks.length}" failures="${count("failed")}" errors="${count("errored")}" skipped="${count("skipped")}"`;
    return [
      `  <testsuite name="${escaped(exercise)}" ${counts} time="${(durationMs / 1000).toFixed(3)}">`,
      ...cases,
      "  </testsuite>",
    ].join("\n");
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join("\n")}\n</testsuites>\n`;
};

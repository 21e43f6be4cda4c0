import pico from "picocolors";
import type { CheckResult, ExerciseResult } from "../core/results.ts";
import type { Reporter } from "./reporter.ts";

type Colors = ReturnType<typeof pico.createColors>;

const WIDTH = 96;
const INDENT = 14;

/** Breaks a text into lines that fit beside a label, each but the first indented. */
function wrapped(text: string): string {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(" ")) {
      if (line !== "" && line.length + word.length + 1 > WIDTH - INDENT) {
        lines.push(line);
        line = "";
      }
      line = line === "" ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines.join(`\n${" ".repeat(INDENT)}`);
}

function details(check: CheckResult, colors: Colors): string[] {
  const row = (label: string, text: string, paint = (part: string) => part) =>
    `    ${colors.dim(label.padEnd(INDENT - 4))}${paint(wrapped(text))}`;
  switch (check.status) {
    case "passed":
      return [];
    case "failed":
      return [
        row("expected", check.expected),
        row("actual", check.actual),
        ...(check.hint === undefined ? [] : [row("hint", check.hint, colors.cyan)]),
      ];
    case "skipped":
      return [row("because", check.because)];
    case "errored":
      return [row("error", check.error, colors.magenta)];
  }
}

function marks(colors: Colors) {
  return {
    passed: colors.green("✔"),
    failed: colors.red("✖"),
    skipped: colors.dim("–"),
    errored: colors.magenta("!"),
  };
}

function summary({ status, checks, durationMs }: ExerciseResult, colors: Colors): string {
  const passed = checks.filter((check) => check.status === "passed").length;
  const paint = { passed: colors.green, failed: colors.red, errored: colors.magenta };
  const word = status === "skipped" ? colors.dim(status) : paint[status](status);
  const counts = `${passed} of ${checks.length} checks passed`;
  return `  ${colors.bold(word)}: ${counts}, ${(durationMs / 1000).toFixed(1)} s`;
}

export const pretty: Reporter = (results, { color, titles }) => {
  const colors = pico.createColors(color);
  const mark = marks(colors);
  const blocks = results.map((result) =>
    [
      `${colors.bold(result.exercise)}  ${colors.dim(titles[result.exercise] ?? "")}`.trimEnd(),
      "",
      ...result.checks.flatMap((check) => [
        `  ${mark[check.status]} ${check.title}`,
        ...details(check, colors),
      ]),
      "",
      summary(result, colors),
      ...(result.status === "errored"
        ? ["  No verdict: the lab or the grader broke. That is not the student's mistake."]
        : []),
    ].join("\n"),
  );
  return `${blocks.join("\n\n")}\n`;
};

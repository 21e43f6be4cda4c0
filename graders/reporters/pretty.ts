import pico from "picocolors";
import type { CheckResult, ExerciseResult } from "../core/results.ts";
import type { Format } from "./reporter.ts";
import { type CommandWords, commandWords } from "./words.ts";

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

function details(check: CheckResult<string>, colors: Colors, { fields }: CommandWords): string[] {
  const row = (field: keyof typeof fields, text: string, paint = (part: string) => part) =>
    `    ${colors.dim(fields[field].padEnd(INDENT - 4))}${paint(wrapped(text))}`;
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

function summary(
  { status, checks, durationMs }: ExerciseResult,
  colors: Colors,
  words: CommandWords,
): string {
  const passed = checks.filter((check) => check.status === "passed").length;
  const paint = { passed: colors.green, failed: colors.red, errored: colors.magenta };
  const word = words.statuses[status];
  const painted = status === "skipped" ? colors.dim(word) : paint[status](word);
  const counts = words.passed(passed, checks.length);
  return `  ${colors.bold(painted)}: ${counts}, ${words.seconds(durationMs)}`;
}

export const pretty: Format = (results, { color, titles, language }) => {
  const colors = pico.createColors(color);
  const words = commandWords[language];
  const mark = marks(colors);
  const blocks = results.map((result) =>
    [
      `${colors.bold(result.exercise)}  ${colors.dim(titles[result.exercise] ?? "")}`.trimEnd(),
      "",
      ...result.checks.flatMap((check) => [
        `  ${mark[check.status]} ${check.title}`,
        ...details(check, colors, words),
      ]),
      "",
      summary(result, colors, words),
      ...(result.status === "errored" ? [`  ${words.noVerdict}`] : []),
    ].join("\n"),
  );
  return `${blocks.join("\n\n")}\n`;
};

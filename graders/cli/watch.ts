import { stripVTControlCharacters } from "node:util";
import { colorsFor, wantsColors } from "../../sandbox/cli/colors.ts";
import { exitCodes } from "../../sandbox/cli/command-line.ts";
import type { Lab, SandboxEngine } from "../../sandbox/index.ts";
import { LabWatch } from "../core/watch.ts";
import {
  type CheckResult,
  type Exercise,
  type ExerciseResult,
  type Language,
  resultIn,
} from "../index.ts";
import { reporters } from "../reporters/index.ts";
import { commandWords } from "../reporters/words.ts";
import { type Course, titlesOf } from "./command.ts";

const enterScreen = "\u001b[?1049h\u001b[?25l";
const leaveScreen = "\u001b[?25h\u001b[?1049l";

/** Shows the state of exercises as text, again and again. */
interface View {
  show(result: ExerciseResult<string>): void;
  end(): void;
}

/** A terminal's whole screen, which leaves the last state behind when it ends. */
function screenView(
  lab: Lab,
  wanted: readonly Exercise[],
  course: Course,
  language: Language,
): View {
  const { stdout } = process;
  const results = new Map<string, ExerciseResult<string>>();
  const colors = colorsFor(stdout);
  const words = commandWords[language];
  const options = { color: wantsColors(stdout), titles: titlesOf(course, language), language };
  const report = () => reporters.pretty(sorted(wanted, results), options);
  const draw = () => {
    const head = `${colors.dim(words.watching(lab.id))}\n\n`;
    const waiting = wanted.length - results.size;
    const foot = waiting > 0 ? colors.dim(`\n${words.moreExercises(waiting)}\n`) : "";
    const lines = `${head}${report()}${foot}`.trimEnd().split("\n");
    const { rows, columns } = stdout;
    const height = lines.map((line) => rowsOf(line, columns));
    let shown = 0;
    let used = 0;
    while (shown < lines.length && used + (height[shown] ?? 1) < rows) {
      used += height[shown] ?? 1;
      shown += 1;
    }
    const rest = lines.length - shown;
    const more = rest > 0 ? `\n${colors.dim(words.moreLines(rest))}` : "";
    stdout.write(`\u001b[H\u001b[2J${lines.slice(0, shown).join("\n")}${more}`);
  };
  stdout.write(enterScreen);
  stdout.on("resize", draw);
  draw();
  return {
    show(result) {
      results.set(result.exercise, result);
      draw();
    },
    end() {
      stdout.off("resize", draw);
      stdout.write(leaveScreen);
      if (results.size > 0) stdout.write(report());
    },
  };
}

const rowsOf = (line: string, columns: number): number =>
  Math.max(1, Math.ceil(stripVTControlCharacters(line).length / columns));

const sorted = (
  wanted: readonly Exercise[],
  results: ReadonlyMap<string, ExerciseResult<string>>,
): readonly ExerciseResult<string>[] =>
  wanted.flatMap(({ id }) => {
    const result = results.get(id);
    return result === undefined ? [] : [result];
  });

/** What has changed, a line each. */
function lineView(language: Language): View {
  const before = new Map<string, ExerciseResult<string>>();
  const colors = colorsFor(process.stdout);
  const words = commandWords[language];
  const statuses = {
    passed: colors.green(words.statuses.passed),
    failed: colors.red(words.statuses.failed),
    skipped: colors.dim(words.statuses.skipped),
    errored: colors.magenta(words.statuses.errored),
  };
  const why = (check: CheckResult<string>): string => {
    switch (check.status) {
      case "passed":
        return "";
      case "failed":
        return `: ${check.actual}`;
      case "skipped":
        return `: ${check.because}`;
      case "errored":
        return `: ${check.error}`;
    }
  };
  return {
    show(result) {
      const last = before.get(result.exercise);
      before.set(result.exercise, result);
      const time = new Date().toTimeString().slice(0, 8);
      const passed = result.checks.filter(({ status }) => status === "passed").length;
      const lines = [
        `${time} ${result.exercise} ${statuses[result.status]}: ${words.passed(passed, result.checks.length)}`,
      ];
      for (const check of result.checks) {
        const known = last?.checks.find(({ id }) => id === check.id);
        if (known?.status === check.status && why(known) === why(check)) continue;
        lines.push(
          `  ${check.id} ${statuses[check.status]}${why(check)}`.replace(/\s*\n\s*/g, " / "),
        );
      }
      process.stdout.write(`${lines.join("\n")}\n`);
    },
    end: () => undefined,
  };
}

/** A line of JSON for each change, as the course server streams them to a page, in one language. */
const jsonView: View = {
  show: (result) => void process.stdout.write(`${JSON.stringify({ type: "result", result })}\n`),
  end: () => undefined,
};

/** Shows exercises of a lab as it changes, until Ctrl-C. */
export async function watchLab(options: {
  readonly engine: SandboxEngine;
  readonly lab: Lab;
  readonly course: Course;
  readonly wanted: readonly Exercise[];
  readonly format: string;
  readonly language: Language;
  readonly signal: AbortSignal;
}): Promise<number> {
  const { engine, lab, course, wanted, format, language, signal } = options;
  const view =
    format === "json"
      ? jsonView
      : process.stdout.isTTY
        ? screenView(lab, wanted, course, language)
        : lineView(language);
  const watch = new LabWatch(
    () => engine.find(lab.id),
    (message) => process.stderr.write(`${message}\n`),
  );
  const show = (result: ExerciseResult) => view.show(resultIn(result, language));
  const stops = wanted.map((exercise) => watch.follow(exercise, show));
  try {
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  } finally {
    for (const stop of stops) stop();
    view.end();
    await watch.ended;
  }
  return exitCodes.passed;
}

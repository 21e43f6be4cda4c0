import { parseArgs } from "node:util";
import { wantsColors } from "../../sandbox/cli/colors.ts";
import { chooseLab, openEngine, UsageError, unknown } from "../../sandbox/cli/command-line.ts";
import { gradeExercises, inLanguage } from "../index.ts";
import { type ReporterName, reporters } from "../reporters/index.ts";
import { checkAllLabs } from "./all-labs.ts";
import {
  type Command,
  commonOptions,
  exercisesOf,
  exitCodeOf,
  labOption,
  languageNamed,
  languageOption,
  openCourse,
  titlesOf,
  wholeNumber,
} from "./command.ts";
import { watchLab } from "./watch.ts";

export const check: Command = async (args, signal) => {
  const options = {
    ...commonOptions,
    ...labOption,
    ...languageOption,
    format: { type: "string", default: "pretty" },
    watch: { type: "boolean", default: false },
    "all-labs": { type: "boolean", default: false },
    jobs: { type: "string", default: "2" },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const { format, watch, "all-labs": all } = values;
  if (all && values.lab !== undefined) throw new UsageError("Either --lab or --all-labs.");
  if (all && watch) throw new UsageError("Either --watch or --all-labs.");
  const formats = watch
    ? ["pretty", "json"]
    : all
      ? ["pretty", "json", "csv"]
      : Object.keys(reporters);
  if (!formats.includes(format)) throw unknown("format", format, formats);
  const language = languageNamed(values.language);
  const course = await openCourse(values.plugin);
  const named = positionals.map(course.named);
  await using engine = await openEngine(values.engine, { plugins: course.plugins });
  if (all) {
    const jobs = wholeNumber("jobs", values.jobs, 16);
    return await checkAllLabs({ engine, course, named, format, jobs, language, signal });
  }
  const lab = await chooseLab(engine, values.lab);
  const wanted = exercisesOf(lab, named, course);
  if (watch) return await watchLab({ engine, lab, course, wanted, format, language, signal });
  const results = await gradeExercises(wanted, lab, {
    signal,
    onProgress: ({ text }) => void process.stderr.write(`  ${inLanguage(text, language)}\n`),
  });
  const color = wantsColors(process.stdout);
  const reporter = reporters[format as ReporterName];
  process.stdout.write(reporter(results, { color, titles: titlesOf(course, language), language }));
  return exitCodeOf(results);
};

/** `graders watch` is `graders check --watch`. */
export const watch: Command = (args, signal) => check(["--watch", ...args], signal);

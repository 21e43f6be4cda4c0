import { parseArgs } from "node:util";
import { exitCodes, unknown } from "../../sandbox/cli/command-line.ts";
import { entryIn } from "../index.ts";
import { commandWords } from "../reporters/words.ts";
import {
  type Command,
  commonOptions,
  languageNamed,
  languageOption,
  openCourse,
} from "./command.ts";

export const list: Command = async (args) => {
  const options = {
    ...commonOptions,
    ...languageOption,
    format: { type: "string", default: "pretty" },
  } as const;
  const { values } = parseArgs({ args, options });
  const language = languageNamed(values.language);
  const entries = (await openCourse(values.plugin)).exercises.map(entryIn(language));
  if (values.format === "json") {
    process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
    return exitCodes.passed;
  }
  if (values.format !== "pretty") throw unknown("format", values.format, ["pretty", "json"]);
  const width = Math.max(...entries.map(({ exercise }) => exercise.length));
  for (const { exercise, lab, title } of entries) {
    process.stdout.write(
      `${exercise.padEnd(width)}  ${title} (${commandWords[language].lab} ${lab})\n`,
    );
  }
  return exitCodes.passed;
};

import { parseArgs } from "node:util";
import {
  chooseLab,
  exitCodes,
  openEngine,
  UsageError,
  unknown,
} from "../../sandbox/cli/command-line.ts";
import { applyAnswer } from "../core/answers.ts";
import { type Command, commonOptions, exercisesOf, labOption, openCourse } from "./command.ts";

export const solve: Command = async (args) => {
  const options = { ...commonOptions, ...labOption, solution: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [id, ...rest] = positionals;
  if (id === undefined || rest.length > 0) throw new UsageError("Name one exercise.");
  const course = await openCourse(values.plugin);
  const exercise = course.named(id);
  const solution = exercise.solutions.find(
    ({ name }) => name === (values.solution ?? exercise.solutions[0]?.name),
  );
  if (solution === undefined) {
    const names = exercise.solutions.map(({ name }) => name);
    throw unknown("solution", values.solution ?? "", names);
  }
  await using engine = await openEngine(values.engine, { plugins: course.plugins });
  const lab = await chooseLab(engine, values.lab);
  exercisesOf(lab, [exercise], course);
  await applyAnswer(lab, solution);
  process.stderr.write(`Ran solution ${solution.name}: ${solution.title}.\n`);
  return exitCodes.passed;
};

import { runCommandLine, UsageError, unknown } from "../../sandbox/cli/command-line.ts";
import { check, watch } from "./check.ts";
import { list } from "./list.ts";
import { solve } from "./solve.ts";
import { verify } from "./verify.ts";

const usage = `
Usage: graders <command> [options]

  list [--format json]                        the exercises of the course
  check [EXERCISE…] --lab <id> [--format pretty|json|junit|tap]
                                              grade a lab; without EXERCISE: all of its lesson
  check [EXERCISE…] --all-labs [--jobs N] [--format pretty|json|csv]
                                              a table of all labs and their exercises
  watch [EXERCISE…] --lab <id> [--format pretty|json]
                                              check, and again whenever the lab changes (also check --watch)
  solve EXERCISE --lab <id> [--solution NAME] run a reference solution on a lab
  verify [EXERCISE…] [--jobs N] [--answer NAME]
                                              prove exercises: solutions pass, wrong answers don't

  --lab may be left out where one lab runs.
  --language en|ru                            what list, check and watch say; without: English
  --plugin DIR                                exercises of a folder or module of your own (also PATCHBAY_PLUGINS)
  --engine managed|unix:///…|tcp://…          the engine that labs run on (also PATCHBAY_ENGINE)

Exit codes of check and verify: 0 all passed, 1 something failed, 2 usage, 3 a grader or the lab broke
`;

const commands = { list, check, watch, solve, verify };

await runCommandLine(usage, async ([name, ...args], signal) => {
  if (name === undefined) throw new UsageError("Say which command.");
  if (!Object.hasOwn(commands, name)) throw unknown("command", name, Object.keys(commands));
  return commands[name as keyof typeof commands](args, signal);
});

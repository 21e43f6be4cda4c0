/** What the commands `patchbay` and `graders` share: engine, labs, usage errors, exit codes. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { didYouMean } from "../did-you-mean.ts";
import {
  type Lab,
  type Plugin,
  PluginError,
  readPlugins,
  type SandboxEngine,
  SandboxError,
} from "../index.ts";
import { openSandbox } from "../open.ts";
import { pluginNames } from "../plugins.ts";
import { colorsFor } from "./colors.ts";
import { progressLines } from "./progress.ts";

export const exitCodes = { passed: 0, failed: 1, usage: 2, broken: 3, interrupted: 130 } as const;

/** A mistake on the command line; told with the command's usage. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const usageCodes = [
  "topology-not-found",
  "name-taken",
  "name-invalid",
  "lab-not-found",
  "host-not-found",
];

/** Where the checkout keeps what is not the engine's: progress, terminals, the engine chosen. */
export const stateDirectory =
  process.env["PATCHBAY_STATE_DIR"] ?? fileURLToPath(new URL("../../.patchbay", import.meta.url));

const choiceFile = join(stateDirectory, "engine");

/** Remembers `--engine` of `npm start` for the other commands; without one, forgets it. */
export function rememberEngine(engine: string | undefined): void {
  mkdirSync(stateDirectory, { recursive: true });
  if (engine === undefined) rmSync(choiceFile, { force: true });
  else writeFileSync(choiceFile, `${engine}\n`);
}

/** `--engine`, else PATCHBAY_ENGINE, else what `npm start` was given. */
export function chosenEngine(option: string | undefined): string | undefined {
  const chosen = option ?? process.env["PATCHBAY_ENGINE"];
  if (chosen !== undefined) return chosen;
  try {
    return readFileSync(choiceFile, "utf8").trim() || undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Those that `--plugin` names, and those of PATCHBAY_PLUGINS. Throws `PluginError`. */
export const chosenPlugins = (options: readonly string[] = []): readonly Plugin[] =>
  readPlugins([...options, ...pluginNames(process.env["PATCHBAY_PLUGINS"])]);

/** Opens the engine and has it ready for labs, with progress on stderr. */
export async function openEngine(
  option: string | undefined,
  {
    egress = process.env["PATCHBAY_EGRESS"] ?? "none",
    plugins = chosenPlugins(),
  }: { readonly egress?: string | undefined; readonly plugins?: readonly Plugin[] } = {},
): Promise<SandboxEngine> {
  if (egress !== "none" && egress !== "nat") {
    throw new UsageError(`Labs' egress is "none" or "nat", not "${egress}".`);
  }
  const progress = progressLines();
  try {
    const engine = await openSandbox({
      engine: chosenEngine(option),
      egress,
      plugins,
      onProgress: progress.step,
    });
    await engine.prepare(progress.step);
    return engine;
  } finally {
    progress.done();
  }
}

/** A lab that an `npm stop` stopped comes back by being used. */
async function awake(engine: SandboxEngine, id: string): Promise<Lab> {
  const lab = await engine.find(id);
  return lab.state === "stopped" ? engine.start(id) : lab;
}

/** The lab named, or the only one there is. Throws `UsageError` where that is not one. */
export async function chooseLab(engine: SandboxEngine, id: string | undefined): Promise<Lab> {
  if (id !== undefined) return awake(engine, id);
  const labs = await engine.list();
  const [only] = labs;
  if (only !== undefined && labs.length === 1) return awake(engine, only.id);
  throw new UsageError(
    only === undefined
      ? "No lab runs. Start one: patchbay lab up iptables"
      : `There are several labs: name one of ${labs.map((lab) => lab.id).join(", ")}.`,
  );
}

export const unknown = (kind: string, name: string, known: readonly string[]): UsageError =>
  new UsageError(didYouMean(kind, name, known));

/** Options that a command does not know, told by `parseArgs`. */
const isParseError = (error: unknown): error is Error =>
  String((error as NodeJS.ErrnoException)?.code).startsWith("ERR_PARSE_ARGS_");

/**
 * Runs a command and exits with its code. Ctrl-C and SIGTERM abort the signal first, so that the command
 * cleans up; a second one ends at once.
 */
export async function runCommandLine(
  usage: string,
  command: (argv: string[], signal: AbortSignal) => Promise<number>,
): Promise<never> {
  const argv = process.argv.slice(2);
  if (["help", "--help", "-h"].includes(argv[0] ?? "")) {
    process.stdout.write(`${usage.trim()}\n`);
    process.exit(exitCodes.passed);
  }
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(exitCodes.interrupted);
      controller.abort(new Error("interrupted"));
    });
  }
  // A reader that leaves early (`| head`) ends the command like any other.
  process.stdout.on("error", () => process.exit(exitCodes.broken));
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const red = colorsFor(process.stderr).red;
  let code: number;
  try {
    code = await command(argv, controller.signal);
  } catch (error) {
    if (controller.signal.aborted) {
      code = exitCodes.interrupted;
    } else if (error instanceof UsageError || isParseError(error)) {
      say(`${red("error")} ${(error as Error).message}\n\n${usage.trim()}`);
      code = exitCodes.usage;
    } else if (error instanceof PluginError) {
      say(`${red("error")} ${error.message}`);
      code = exitCodes.usage;
    } else if (error instanceof SandboxError) {
      say(`${red("error")} ${error.message}`);
      code = usageCodes.includes(error.code) ? exitCodes.usage : exitCodes.broken;
    } else {
      say(`${red("error")} ${(error as Error).stack ?? String(error)}`);
      code = exitCodes.broken;
    }
  }
  // Whatever was written is flushed before the exit.
  await new Promise((resolve) => process.stdout.write("", resolve));
  process.exit(code);
}

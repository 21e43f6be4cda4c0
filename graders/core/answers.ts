/** Applying an answer to a lab: run as a script, or typed into terminals. */
import type { Lab } from "../../sandbox/index.ts";
import { TypedShell } from "../../sandbox/typed-shell.ts";
import type { Answer, Step } from "./exercise.ts";

const SCRIPT_TIMEOUT_MS = 120_000;

const stepsOf = ({ script }: Answer): readonly Step[] =>
  typeof script === "string" ? [{ script }] : script;

const failure = ({ name }: Answer, how: string, output: string): Error => {
  const end = output.trimEnd().split("\n").slice(-6).join("\n");
  return new Error(`The script of "${name}" ${how}:\n${end}`);
};

/** Runs an answer's scripts, one after the other. Rejects with the end of the output of one that fails. */
export async function applyAnswer(lab: Lab, answer: Answer): Promise<void> {
  const signal = AbortSignal.timeout(SCRIPT_TIMEOUT_MS);
  let previous = "";
  for (const { host, script } of stepsOf(answer)) {
    const env = { PREVIOUS: previous };
    const run = await lab.host(host).capture(["bash"], { input: script, env, signal });
    if (run.exitCode !== 0) {
      throw failure(answer, `ended with code ${run.exitCode}`, `${run.stdout}${run.stderr}`);
    }
    previous = run.stdout.trim();
  }
}

/**
 * Types an answer's scripts into a terminal of each host that they name, as a student does. `$PREVIOUS` is the last
 * line that was shown. Rejects with the end of what was shown where a script fails.
 */
export async function typeAnswer(lab: Lab, answer: Answer): Promise<void> {
  await using shells = new AsyncDisposableStack();
  const open = new Map<string, TypedShell>();
  let previous = "";
  for (const { host, script } of stepsOf(answer)) {
    const on = lab.host(host);
    const shell = open.get(on.name) ?? shells.use(await TypedShell.open(on, `typed-${on.name}`));
    open.set(on.name, shell);
    if (previous !== "") await shell.run(`PREVIOUS='${previous}'`, SCRIPT_TIMEOUT_MS);
    const { exitCode, output } = await shell.run(script, SCRIPT_TIMEOUT_MS);
    if (exitCode === undefined) throw failure(answer, "did not end, or ended its shell", output);
    if (exitCode !== 0) throw failure(answer, `ended with code ${exitCode}`, output);
    previous = output.trimEnd().split("\n").at(-1)?.trim() ?? "";
  }
}

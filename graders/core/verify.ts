import { isDeepStrictEqual } from "node:util";
import type { Lab, SandboxEngine } from "../../sandbox/index.ts";
import type { Answer, Exercise } from "./exercise.ts";
import type { ExerciseResult } from "./results.ts";
import { gradeExercise } from "./runner.ts";

/** One thing that an exercise claims of itself, and whether it held. */
export interface Proof {
  readonly exercise: string;
  readonly claim: string;
  readonly holds: boolean;
  /** What was seen instead. */
  readonly actual?: string;
}

const SCRIPT_TIMEOUT_MS = 120_000;

/** Runs an answer's scripts, one after the other. Rejects with the end of the output of one that fails. */
export async function applyAnswer(lab: Lab, answer: Answer): Promise<void> {
  const signal = AbortSignal.timeout(SCRIPT_TIMEOUT_MS);
  const { script } = answer;
  let previous = "";
  for (const step of typeof script === "string" ? [{ script }] : script) {
    const host = lab.host("host" in step ? step.host : undefined);
    const env = { PREVIOUS: previous };
    const run = await host.capture(["bash"], { input: step.script, env, signal });
    if (run.exitCode !== 0) {
      const end = `${run.stdout}${run.stderr}`.trimEnd().split("\n").slice(-6).join("\n");
      throw new Error(`The script of "${answer.name}" ended with code ${run.exitCode}:\n${end}`);
    }
    previous = run.stdout.trim();
  }
}

const told = (result: ExerciseResult): string =>
  result.checks
    .filter((check) => check.status !== "passed")
    .map((check) => {
      const why =
        check.status === "failed"
          ? check.actual
          : check.status === "errored"
            ? check.error
            : check.because;
      return `${check.id} ${check.status}: ${why}`;
    })
    .join("; ");

const statuses = ({ checks }: ExerciseResult) => checks.map(({ id, status }) => [id, status]);

/**
 * What a grading might leave behind on the host: containers, images, interfaces, filter rules. A container that was
 * restarted has another cable.
 */
async function state(lab: Lab): Promise<string> {
  const look =
    "docker ps -aq | sort; docker images -aq | sort; ip -o link | cut -d: -f2 | sed -E 's/^ (veth)[0-9a-f]+@.*/ \\1/' | sort; iptables-save | grep ^-A";
  return (await lab.host().capture(["sh", "-c", look])).stdout;
}

/**
 * Proves an exercise on a lab of its own: nothing done fails, each solution passes, each wrong answer
 * is refused by the check that it names, and grading twice says and leaves the same.
 */
export async function* verifyExercise(
  exercise: Exercise,
  engine: SandboxEngine,
  signal: AbortSignal,
): AsyncGenerator<Proof> {
  const proof = (claim: string, holds: boolean, actual: string): Proof =>
    holds
      ? { exercise: exercise.id, claim, holds }
      : { exercise: exercise.id, claim, holds, actual };
  let lab = await engine.up({ topology: exercise.lab, signal });
  try {
    const untouched = await gradeExercise(exercise, lab, { signal });
    if (untouched.status === "skipped") {
      yield proof(`skipped: ${told(untouched)}`, true, "");
      return;
    }
    yield proof(
      "nothing done fails",
      untouched.status === "failed",
      told(untouched) || "it passed",
    );

    let touched = false;
    for (const answer of [...exercise.solutions, ...exercise.wrongAnswers]) {
      const rejectedBy = "rejectedBy" in answer ? String(answer.rejectedBy) : undefined;
      const claim =
        rejectedBy === undefined
          ? `solution ${answer.name} passes`
          : `wrong answer ${answer.name} is refused by ${rejectedBy}`;
      if (touched) lab = await engine.reset(lab.id);
      touched = true;
      try {
        await applyAnswer(lab, answer);
      } catch (error) {
        yield proof(claim, false, (error as Error).message);
        continue;
      }
      const before = await state(lab);
      const first = await gradeExercise(exercise, lab, { signal });
      const refused = first.checks.some(
        ({ id, status }) => id === rejectedBy && status === "failed",
      );
      const right =
        rejectedBy === undefined ? first.status === "passed" : first.status === "failed" && refused;
      yield proof(claim, right, told(first) || "it passed");
      if (rejectedBy !== undefined && answer !== exercise.wrongAnswers[0]) continue;
      const second = await gradeExercise(exercise, lab, { signal });
      const same = isDeepStrictEqual(statuses(first), statuses(second));
      yield proof(`grading ${answer.name} twice says the same`, same, told(second) || "it passed");
      const after = await state(lab);
      yield proof(`grading ${answer.name} leaves nothing`, before === after, after);
    }
  } finally {
    await engine.down(lab.id);
  }
}

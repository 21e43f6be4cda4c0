/** Every command of every lesson, typed into a real lab in the order in which a student reads. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exercises, gradeExercise } from "../../graders/index.ts";
import type { Lab, SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";
import { TypedShell } from "../../sandbox/typed-shell.ts";
import { type LessonElement, lessonFiles, readLesson } from "../../src/authoring/lesson-source.ts";
import { typeCommand } from "../../src/terminal/server/keeper/typed-command.ts";

/** A background command has this long to say its first word before the next block is typed. */
const SETTLE_MS = 1500;
const DEFAULT_SECONDS = 30;
/** As the course types them. */
const keys = (command: string) => typeCommand(command, true).toString("utf8");

// What both languages run is the same: the content's lint sees to that.
const lessons = lessonFiles()
  .filter(({ language }) => language === "en")
  .map(({ path, language }) => readLesson(path, language))
  .filter(({ frontMatter }) => frontMatter["lab"] !== undefined);

let engine: SandboxEngine;

beforeAll(async () => {
  engine = await openSandbox({ engine: "managed" });
  await engine.prepare();
}, 600_000);

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

/** A lab, with the terminals that blocks asked for. */
class Bench implements AsyncDisposable {
  readonly lab: Lab;
  readonly #shells = new Map<string, TypedShell>();
  /** What a background block is still to show, by its terminal. */
  readonly #owed = new Map<string, LessonElement>();

  constructor(lab: Lab) {
    this.lab = lab;
  }

  async run(block: LessonElement): Promise<void> {
    const {
      command,
      expect: pattern,
      exit = 0,
      host,
      terminal,
      interrupt,
      background,
    } = block.attributes;
    const seconds = Number(block.attributes["seconds"] ?? DEFAULT_SECONDS);
    const name = `${this.lab.host(host as string | undefined).name}-${terminal ?? "main"}`;
    const shell =
      this.#shells.get(name) ??
      (await TypedShell.open(this.lab.host(host as string | undefined), name, keys));
    this.#shells.set(name, shell);
    await this.#settle(name, shell);
    if (interrupt === true) await shell.interrupt();
    if (background === true) {
      shell.type(String(command));
      await shell.shows(/\S/, SETTLE_MS);
      this.#owed.set(name, block);
      return;
    }
    const { exitCode, output } = await shell.run(String(command), seconds * 1000);
    expect(exitCode, `no prompt within ${seconds} s; so far:\n${output}`).toBeDefined();
    if (pattern !== undefined) expect(output).toMatch(new RegExp(String(pattern), "ms"));
    expect(exitCode, output).toBe(exit);
  }

  /** Whether what still ran in the background has shown what it was to show. */
  async settleAll(): Promise<void> {
    for (const [name, shell] of this.#shells) {
      await this.#settle(name, shell);
      await shell.interrupt();
    }
  }

  async #settle(name: string, shell: TypedShell): Promise<void> {
    const block = this.#owed.get(name);
    if (block === undefined) return;
    this.#owed.delete(name);
    const { expect: pattern, command } = block.attributes;
    if (pattern === undefined) return;
    const expression = new RegExp(String(pattern), "ms");
    await shell.shows(expression, SETTLE_MS);
    expect(shell.outcome().output, `in the background: ${command}`).toMatch(expression);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const shell of this.#shells.values()) await shell[Symbol.asyncDispose]();
    await engine.down(this.lab.id);
  }
}

const solutionAround = (element: LessonElement): LessonElement | undefined =>
  element.inside.find(({ name }) => name === "Solution");

/** A solution in the text must be one. */
async function expectSolved(lab: Lab, exerciseId: unknown): Promise<void> {
  const exercise = exercises.find(({ id }) => id === exerciseId);
  if (exercise === undefined) throw new Error(`There is no exercise ${exerciseId}.`);
  const { status, checks } = await gradeExercise(exercise, lab);
  const open = checks.filter((check) => check.status !== "passed");
  if (status !== "skipped") expect(open).toEqual([]);
}

for (const { file, frontMatter, elements } of lessons) {
  const blocks = elements.filter(({ name }) => name === "Run");
  const solutions = elements.filter(({ name }) => name === "Solution");
  /** The first solution of an exercise is part of the lesson; each other one gets a lab of its own. */
  const isOther = (solution: LessonElement | undefined): boolean =>
    solution !== undefined &&
    solutions.find(
      ({ attributes }) => attributes["exercise"] === solution.attributes["exercise"],
    ) !== solution;

  describe(file, () => {
    let bench: Bench;

    beforeAll(async () => {
      bench = new Bench(await engine.up({ topology: String(frontMatter["lab"]) }));
    }, 300_000);

    afterAll(async () => {
      await bench?.[Symbol.asyncDispose]();
    }, 60_000);

    for (const [index, block] of blocks.entries()) {
      const solution = solutionAround(block);
      if (isOther(solution)) continue;
      const [first = ""] = String(block.attributes["command"]).trim().split("\n");
      test(`line ${block.line}: ${first}`, async () => {
        await bench.run(block);
        if (solution !== undefined && solutionAround(blocks[index + 1] ?? block) !== solution) {
          await expectSolved(bench.lab, solution.attributes["exercise"]);
        }
      });
    }

    test("what ran in the background has shown what it was to show", async () => {
      await bench.settleAll();
    });

    for (const solution of solutions.filter(isOther)) {
      const own = blocks.filter((block) => solutionAround(block) === solution);
      if (own.length === 0) continue;
      test(`line ${solution.line}: another solution of ${solution.attributes["exercise"]}`, async () => {
        await using fresh = new Bench(await engine.up({ topology: String(frontMatter["lab"]) }));
        for (const block of own) await fresh.run(block);
        await expectSolved(fresh.lab, solution.attributes["exercise"]);
      });
    }
  });
}

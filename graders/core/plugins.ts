/** Exercises from outside of this package. */
import * as nodeModule from "node:module";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { didYouMean } from "../../sandbox/did-you-mean.ts";
import { type Plugin, PluginError } from "../../sandbox/index.ts";
import { exerciseSchema } from "./definition.ts";
import type { Exercise } from "./exercise.ts";

const PACKAGE = new URL("../../package.json", import.meta.url);

const example = `
  import { check, fail, firstHost, pass, type Exercise } from "patchbay/graders";

  const webRuns = check({
    id: "web-runs",
    title: "Container web runs",
    async run({ facts }) {
      const web = firstHost(await facts()).containers.find(({ name }) => name === "web");
      return web?.running ? pass() : fail("a running container web", "there is none");
    },
  });

  export default [
    {
      id: "bridge/start-web",
      title: "A web server",
      lesson: "bridge",
      lab: "bridge",
      requires: [],
      checks: [webRuns],
      solutions: [{ name: "run", title: "By docker run", script: "docker run -d --name web nginx" }],
      wrongAnswers: [
        { name: "other-name", title: "Another name", rejectedBy: "web-runs", script: "docker run -d --name www nginx" },
      ],
    },
  ] satisfies Exercise[];`;

/**
 * Lets modules outside of this package import `patchbay/graders` wherever they lie, and makes sure that it is this
 * copy of it: two of them would not know each other's checks.
 */
function resolveOwnName(): { deregister(): void } {
  return nodeModule.registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "patchbay" || specifier.startsWith("patchbay/")
        ? next(specifier, { ...context, parentURL: PACKAGE.href })
        : next(specifier, context),
  });
}

async function importModule(path: string): Promise<Readonly<Record<string, unknown>>> {
  const hooks = resolveOwnName();
  try {
    return await import(pathToFileURL(path).href);
  } catch (error) {
    const { code, message, stack } = error as NodeJS.ErrnoException;
    if (code === "ERR_MODULE_NOT_FOUND" && message.includes(`'${path}'`)) {
      throw new PluginError(`There is no module ${path}, which should hold the exercises.`);
    }
    // Its own fault, told with the place: its author reads this.
    throw new PluginError(`${path} could not be loaded:\n${stack ?? message}`);
  } finally {
    hooks.deregister();
  }
}

/** `[2].checks[0].id: …` as `the exercise bridge/x: checks[0].id: …`. */
function told(issues: readonly z.core.$ZodIssue[], list: readonly unknown[]): string {
  return issues
    .map(({ path: [index, ...path], message }) => {
      const id = (list[Number(index)] as { id?: unknown } | undefined)?.id;
      const which =
        typeof id === "string" ? `exercise ${id}` : `exercise number ${Number(index) + 1}`;
      const where = z.core.toDotPath(path);
      return `  ${which}${where === "" ? "" : `, ${where}`}: ${message}`;
    })
    .join("\n");
}

/**
 * Imports the exercises of plug-ins, which run with the rights of whoever starts the command, and checks what they
 * export. Throws `PluginError`.
 */
export async function loadExercises(
  plugins: readonly Plugin[],
  known: { readonly exercises: readonly Exercise[]; readonly labs: readonly string[] },
): Promise<readonly Exercise[]> {
  const all = [...known.exercises];
  for (const { exercises: path } of plugins) {
    if (path === undefined) continue;
    const { default: list } = await importModule(path);
    if (!Array.isArray(list)) {
      const what = list === undefined ? "has no default export" : `exports ${kindOf(list)}`;
      throw new PluginError(
        `${path} ${what}; its default export must be a list of exercises:\n${example}`,
      );
    }
    const parsed = z.array(exerciseSchema).safeParse(list);
    if (!parsed.success) {
      const wrong = told(parsed.error.issues, list);
      throw new PluginError(
        `${path} has exercises that are wrong:\n${wrong}\nA right one:\n${example}`,
      );
    }
    for (const exercise of list as Exercise[]) {
      if (all.some(({ id }) => id === exercise.id)) {
        throw new PluginError(
          `${path}: there is an exercise "${exercise.id}" already. Take another id.`,
        );
      }
      if (!known.labs.includes(exercise.lab)) {
        throw new PluginError(
          `${path}, ${exercise.id}: ${didYouMean("lab", exercise.lab, known.labs)}`,
        );
      }
      all.push(exercise);
    }
  }
  return all;
}

const kindOf = (value: unknown): string =>
  value === null ? "null" : typeof value === "object" ? "an object" : `a ${typeof value}`;

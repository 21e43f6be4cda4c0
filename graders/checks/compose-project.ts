import { isMap, isScalar, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import type { LabHost } from "../../sandbox/index.ts";
import { type Failed, fail, type Passed, pass } from "../core/exercise.ts";
import { en, ru, type Text } from "../core/text.ts";
import type { ContainerModel, HostModel } from "../facts/model.ts";

const MAX_FILES = 8;

const label = {
  service: "com.docker.compose.service",
  files: "com.docker.compose.project.config_files",
  project: "com.docker.compose.project",
} as const;

/** What was seen, with the place in a file where the student may look; `where` is empty where there is none. */
export const seeing = (seen: Text, where: string): Text =>
  where === "" ? seen : { en: en`${seen}; see ${where}`, ru: ru`${seen}; см. ${where}` };

/** Containers of a service of any compose project, running ones first. */
export const serviceContainers = (host: HostModel, service: string): readonly ContainerModel[] =>
  host.containers
    .filter(({ labels }) => labels[label.service] === service)
    .toSorted((a, b) => Number(b.running) - Number(a.running));

export const projectOf = ({ labels }: ContainerModel): string => labels[label.project] ?? "";

/** No compose file of the course has a tenth of it. */
const MAX_BYTES = 32 << 10;

/** A compose file of the student, read by the trusted hand and parsed here: nothing of it is run or included. */
export class ComposeFile {
  readonly path: string;
  readonly #document: ReturnType<typeof parseDocument>;
  readonly #lines: LineCounter;

  /** Throws where the text is none that anybody writes: nested too deep, or grown out of aliases of aliases. */
  constructor(path: string, text: string) {
    this.path = path;
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, { lineCounter: this.#lines, merge: true });
    this.#document.toJS();
  }

  /** What stands at a path of keys; `undefined` where nothing does. */
  get(...keys: readonly string[]): unknown {
    const found = this.#document.getIn(keys, true);
    return isScalar(found)
      ? found.value
      : (found as { toJSON?(): unknown } | undefined)?.toJSON?.();
  }

  /** `compose.yaml:12`: where a path of keys stands, or the nearest of its parents. */
  where(...keys: readonly string[]): string {
    const name = this.path.split("/").at(-1) ?? this.path;
    for (let depth = keys.length; depth > 0; depth -= 1) {
      const parent =
        this.#document.getIn(keys.slice(0, depth - 1), true) ?? this.#document.contents;
      const pair = isMap(parent)
        ? parent.items.find((item) => isScalar(item.key) && item.key.value === keys[depth - 1])
        : undefined;
      const range = isScalar(pair?.key) ? pair.key.range : undefined;
      if (range) return `${name}:${this.#lines.linePos(range[0]).line}`;
    }
    return name;
  }
}

/** The files that a container was started from, as compose noted them; without those that can't be read. */
async function composeFilesOf(
  host: LabHost,
  container: ContainerModel,
  signal: AbortSignal,
): Promise<readonly ComposeFile[]> {
  const paths = (container.labels[label.files] ?? "")
    .split(",")
    .filter((path) => path.startsWith("/"));
  const read = await Promise.all(
    paths.slice(0, MAX_FILES).map(async (path) => {
      const file = await host.hand().readFile(path, { signal });
      return "text" in file ? [new ComposeFile(path, file.text)] : [];
    }),
  );
  return read.flat();
}

/** The file that a container was started from, as compose noted it; `problem` says why there is none. */
export async function composeFileOf(
  host: LabHost,
  container: ContainerModel,
  signal: AbortSignal,
): Promise<{ readonly file: ComposeFile } | { readonly problem: Text }> {
  const path = (container.labels[label.files] ?? "").split(",")[0] ?? "";
  if (!path.startsWith("/")) {
    const { name } = container;
    return {
      problem: { en: `${name} was not started by compose`, ru: `${name} запущен не через compose` },
    };
  }
  const read = await host.hand().readFile(path, { maxBytes: MAX_BYTES, signal });
  if ("problem" in read) return { problem: `${path}: ${read.problem}` };
  try {
    return { file: new ComposeFile(path, read.text) };
  } catch (error) {
    const { message } = error as Error;
    return {
      problem: {
        en: `${path} can't be read as YAML: ${message}`,
        ru: `${path} не читается как YAML: ${message}`,
      },
    };
  }
}

const variable = z.union([z.array(z.coerce.string()), z.record(z.string(), z.unknown())]);

/** `NAME=value` as a service's environment says it, as a list or a map. */
function assignment(environment: unknown, name: string): string | undefined {
  const parsed = variable.safeParse(environment).data;
  if (parsed === undefined) return undefined;
  if (Array.isArray(parsed)) return parsed.find((each) => each.startsWith(`${name}=`));
  return Object.hasOwn(parsed, name) ? `${name}=${String(parsed[name])}` : undefined;
}

/**
 * Passes where the process of a compose service was started with `NAME=value`; else fails with what it has, and with
 * the line of the file that says so, or that says something else than what runs.
 */
export async function startedWith(
  host: LabHost,
  container: ContainerModel,
  expected: string,
  signal: AbortSignal,
): Promise<Passed<undefined> | Failed> {
  const [name = ""] = expected.split("=");
  // The kernel's word: what the process was started with.
  const value = (await host.hand().environment(container.pid, { signal }))[name];
  const set = value === undefined ? undefined : `${name}=${value}`;
  if (set === expected) return pass();
  const runs: Text = set ?? { en: `no ${name}`, ru: `${name} не задана` };
  const service = container.labels[label.service] ?? "";
  const files = await composeFilesOf(host, container, signal);
  const keys = ["services", service, "environment"];
  // The last file wins.
  for (const file of files.toReversed()) {
    const declared = assignment(file.get(...keys), name);
    if (declared === undefined) continue;
    const where = Array.isArray(file.get(...keys))
      ? file.where(...keys)
      : file.where(...keys, name);
    if (declared === set) {
      return fail(expected, {
        en: en`${runs}, as ${where} says`,
        ru: ru`${runs}, и так сказано в ${where}`,
      });
    }
    const hint = {
      en: "What runs is older than the file: docker compose up -d starts it anew.",
      ru: "Запущенное старше файла: docker compose up -d пересоздаст его.",
    };
    return fail(
      expected,
      {
        en: en`${runs}; ${where} says ${declared}`,
        ru: ru`${runs}; в ${where} сказано ${declared}`,
      },
      declared === expected ? hint : undefined,
    );
  }
  const nowhere = files.map((file) => file.where(...keys)).join(", ");
  return fail(expected, seeing(runs, nowhere));
}

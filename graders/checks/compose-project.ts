import { isMap, isScalar, LineCounter, parseDocument } from "yaml";
import type { LabHost } from "../../sandbox/index.ts";
import type { ContainerModel, HostModel } from "../facts/model.ts";

const label = {
  service: "com.docker.compose.service",
  files: "com.docker.compose.project.config_files",
  project: "com.docker.compose.project",
} as const;

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

/** The file that a container was started from, as compose noted it; `problem` says why there is none. */
export async function composeFileOf(
  host: LabHost,
  container: ContainerModel,
  signal: AbortSignal,
): Promise<{ readonly file: ComposeFile } | { readonly problem: string }> {
  const path = (container.labels[label.files] ?? "").split(",")[0] ?? "";
  if (!path.startsWith("/")) return { problem: `${container.name} was not started by compose` };
  const read = await host.hand().readFile(path, { maxBytes: MAX_BYTES, signal });
  if ("problem" in read) return { problem: `${path}: ${read.problem}` };
  try {
    return { file: new ComposeFile(path, read.text) };
  } catch (error) {
    return { problem: `${path} can't be read as YAML: ${(error as Error).message}` };
  }
}

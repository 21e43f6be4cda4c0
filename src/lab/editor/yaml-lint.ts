/** What is wrong with a YAML file, and with a Compose file that is sound YAML. */
import { type Document, isMap, isNode, type Node, parseDocument } from "yaml";
import { fill } from "../../i18n/fill.ts";
import type { LabText } from "../../i18n/lab.ts";
import { undefinedReferences } from "./compose-references.ts";
import { composeProblems } from "./compose-schema.ts";

export interface Problem {
  /** Offsets in the text. */
  readonly from: number;
  readonly to: number;
  readonly severity: "error" | "warning";
  readonly message: string;
}

export const isYaml = (path: string): boolean => /\.ya?ml$/i.test(path);

/** Files that `docker compose` reads by itself, their overrides, and what is called like them. */
export const isCompose = (path: string): boolean =>
  /(^|\/)(docker-)?compose([.-][\w.-]+)?\.ya?ml$/i.test(path);

/** One that stands alone: no override, which may lean on what another file defines. */
const standsAlone = (path: string): boolean => /(^|\/)(docker-)?compose\.ya?ml$/i.test(path);

type Path = readonly (string | number)[];

/** Range of the key that a path ends with, or of its value; of what is around it where there is none. */
function rangeOf(document: Document, path: Path, atKey: boolean): readonly [number, number] {
  const parent = path.length === 0 ? document.contents : document.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const pair = parent.items.find(
      ({ key }) => String(isNode(key) ? key.toJSON() : key) === String(last),
    );
    const value = pair?.value as Node | null | undefined;
    // A mapping or a list is long: its key says enough.
    const key = pair?.key as Node | undefined;
    const node = atKey || value?.range == null || "items" in value ? key : value;
    if (node?.range) return [node.range[0], node.range[1]];
  }
  const node = path.length === 0 ? document.contents : document.getIn(path, true);
  if (isNode(node) && node.range) return [node.range[0], node.range[1]];
  return path.length === 0 ? [0, 0] : rangeOf(document, path.slice(0, -1), true);
}

/** Problems of a YAML text; with a Compose file's path, also what Compose would not take. */
export function yamlProblems(
  path: string,
  text: string,
  words: LabText["editor"],
): readonly Problem[] {
  const document = parseDocument(text, { merge: true, prettyErrors: false });
  const problems: Problem[] = document.errors.map(({ code, message, pos: [from, to] }) => ({
    from,
    to,
    severity: "error",
    message: words.yaml[code] ?? message,
  }));
  if (problems.length > 0 || !isCompose(path) || document.contents === null) return problems;
  let value: unknown;
  let found: ReturnType<typeof composeProblems>;
  try {
    value = document.toJS();
    found = composeProblems(value, words.schema);
  } catch (error) {
    // Aliases that grow without end, or tags that no Compose file has.
    const message = error instanceof Error ? error.message : String(error);
    return [{ from: 0, to: 0, severity: "error", message }];
  }
  const at = (place: Path, atKey: boolean, severity: Problem["severity"], message: string) => {
    const [from, to] = rangeOf(document, place, atKey);
    problems.push({ from, to, severity, message });
  };
  for (const problem of found) {
    at(problem.path, problem.atKey, "error", problem.message);
  }
  if (isMap(document.contents) && document.has("version")) {
    at(["version"], true, "warning", words.schema.version);
  }
  if (standsAlone(path) && problems.every(({ severity }) => severity !== "error")) {
    for (const { path: place, kind, name } of undefinedReferences(value)) {
      at(place, false, "warning", fill(words.schema.undefined[kind], { name }));
    }
  }
  return problems.sort((a, b) => a.from - b.from);
}

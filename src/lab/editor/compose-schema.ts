/** Whether a Compose file is as the Compose Specification wants it, and where not, in words. */
import { type OutputUnit, type Schema, Validator } from "@cfworker/json-schema";
import { distance } from "fastest-levenshtein";
// The specification's own schema as dclint ships it, which does not export it by name.
import composeSchema from "../../../node_modules/dclint/schemas/compose.schema.json";
import { fill } from "../../i18n/fill.ts";
import type { LabText } from "../../i18n/lab.ts";

export interface SchemaProblem {
  /** Keys and indexes from the top of the document. */
  readonly path: readonly (string | number)[];
  /** The last part of the path is a key that should not be there: the key is meant, not its value. */
  readonly atKey: boolean;
  readonly message: string;
}

/** Times as Go's `time.ParseDuration` and Compose read them. */
const duration = /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d|w))+$|\$/;
const durationKeys = new Set([
  "interval",
  "timeout",
  "start_period",
  "start_interval",
  "stop_grace_period",
]);
/** Longest list of known keys that is still worth reading. */
const maxListed = 12;

const root = composeSchema as unknown as Schema;
let validator: Validator | undefined;

const decode = (pointer: string): string[] =>
  pointer
    .split("/")
    .slice(1)
    .map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"));

/** The part of the schema that a keyword's location leads to, through `$ref`. */
function schemaAt(keywordLocation: string): Schema {
  let schema: unknown = root;
  for (const part of decode(keywordLocation)) {
    schema = (schema as Record<string, unknown>)[part];
    if (part !== "$ref") continue;
    let target: unknown = root;
    for (const step of decode(String(schema))) target = (target as Record<string, unknown>)[step];
    schema = target;
  }
  return schema as Schema;
}

const wrappers = new Set(["properties", "patternProperties", "$ref", "items", "allOf", "false"]);

/** Of alternatives that all failed: the errors of the one that was most likely meant, or what types they take. */
function chosenBranch(error: OutputUnit, inside: readonly OutputUnit[]): readonly OutputUnit[] {
  const branches = new Map<string, OutputUnit[]>();
  for (const unit of inside) {
    const index = unit.keywordLocation.slice(error.keywordLocation.length + 1).split("/")[0] ?? "";
    branches.set(index, [...(branches.get(index) ?? []), unit]);
  }
  const misfits = (units: readonly OutputUnit[]) =>
    units.filter(
      ({ keyword, instanceLocation }) =>
        keyword === "type" && instanceLocation === error.instanceLocation,
    );
  const fitting = [...branches.values()].filter((units) => misfits(units).length === 0);
  fitting.sort((a, b) => a.length - b.length);
  return fitting[0] ?? [...branches.values()].flatMap(misfits);
}

/** What is wrong, without what only says that something inside is. */
function leaves(errors: readonly OutputUnit[]): OutputUnit[] {
  const found: OutputUnit[] = [];
  for (let at = 0; at < errors.length; at++) {
    const error = errors[at];
    if (error === undefined || wrappers.has(error.keyword)) continue;
    if (error.keyword === "oneOf" || error.keyword === "anyOf") {
      const inside: OutputUnit[] = [];
      const prefix = `${error.keywordLocation}/`;
      // Errors of a `false` schema stand in between with a location of their own.
      while (
        errors[at + 1]?.keywordLocation.startsWith(prefix) ||
        (errors[at + 1]?.keyword === "false" && inside.length > 0)
      ) {
        at += 1;
        inside.push(errors[at] as OutputUnit);
      }
      found.push(...leaves(chosenBranch(error, inside)));
    } else found.push(error);
  }
  return found;
}

const nearest = (word: string, known: readonly string[]): string | undefined => {
  const [best] = known
    .map((candidate) => ({ candidate, far: distance(word, candidate) }))
    .sort((a, b) => a.far - b.far);
  return best !== undefined && best.far <= Math.max(2, word.length / 3)
    ? best.candidate
    : undefined;
};

/** Puts words to the errors of one validation. */
class Words {
  readonly #text: LabText["editor"]["schema"];

  constructor(text: LabText["editor"]["schema"]) {
    this.#text = text;
  }

  place(path: readonly (string | number)[]): string {
    if (path.length === 0) return this.#text.top;
    return path.reduce<string>(
      (so, part) =>
        /^\d+$/.test(String(part)) ? `${so}[${part}]` : so === "" ? String(part) : `${so}.${part}`,
      "",
    );
  }

  unknownKey(path: readonly string[], key: string, schema: Schema): string {
    const known = Object.keys(schema.properties ?? {});
    const place = this.place(path);
    if (known.length === 0) return fill(this.#text.name, { key, place });
    const best = nearest(key, known);
    const start = fill(this.#text.unknown, { key, place });
    if (best !== undefined) return start + fill(this.#text.didYouMean, { key: best });
    if (known.length > maxListed) return start.trim();
    return start + fill(this.#text.known, { keys: known.join(", ") });
  }

  types(types: readonly string[]): string {
    const words = [...new Set(types)].map((type) => this.#text.types[type] ?? type);
    return words.reduce((a, b) => fill(this.#text.or, { a, b }));
  }

  leaf(error: OutputUnit, path: readonly string[]): string {
    const place = this.place(path);
    const schema = schemaAt(error.keywordLocation.replace(/\/[^/]+$/, ""));
    const [quoted = ""] = /(?<=")[^"]*(?=")/.exec(error.error) ?? [];
    switch (error.keyword) {
      case "enum":
        return fill(this.#text.one, { place, values: (schema.enum ?? []).join(", ") });
      case "required":
        return fill(this.#text.missing, { place, key: quoted });
      case "pattern":
        return fill(this.#text.pattern, { place, pattern: schema.pattern ?? "" });
      default:
        return fill(this.#text.other, { place });
    }
  }

  type(path: readonly string[], types: readonly string[]): string {
    return fill(this.#text.type, { place: this.place(path), type: this.types(types) });
  }

  duration(path: readonly (string | number)[]): string {
    return fill(this.#text.duration, { place: this.place(path) });
  }
}

/** Strings that should be times, which the schema can't say. */
function* badDurations(
  value: unknown,
  path: readonly (string | number)[] = [],
): Generator<readonly (string | number)[]> {
  if (typeof value !== "object" || value === null || path.length > 6) return;
  for (const [key, inner] of Object.entries(value)) {
    const inside = [...path, key];
    // `environment: { timeout: … }` is anybody's.
    const ours = path.length === 2 || path[2] === "healthcheck";
    if (ours && path[0] === "services" && durationKeys.has(key) && typeof inner === "string") {
      if (!duration.test(inner)) yield inside;
    } else yield* badDurations(inner, inside);
  }
}

/** Problems of a Compose file that was read from YAML, at most one for each place and kind. */
export function composeProblems(
  value: unknown,
  text: LabText["editor"]["schema"],
): readonly SchemaProblem[] {
  validator ??= new Validator(root, "7", false);
  const words = new Words(text);
  const problems: SchemaProblem[] = [];
  const types = new Map<string, string[]>();
  for (const error of leaves(validator.validate(value).errors)) {
    const path = decode(error.instanceLocation);
    if (error.keyword === "additionalProperties") {
      const schema = schemaAt(error.keywordLocation.replace(/\/[^/]+$/, ""));
      const [key = ""] = /(?<=Property ").*(?=" does not match)/.exec(error.error) ?? [];
      if (schema.additionalProperties !== false) continue;
      const message = words.unknownKey(path, key, schema);
      problems.push({ path: [...path, key], atKey: true, message });
    } else if (error.keyword === "type") {
      const { type = [] } = schemaAt(error.keywordLocation.replace(/\/[^/]+$/, ""));
      const so = types.get(error.instanceLocation) ?? [];
      types.set(error.instanceLocation, so.concat(type));
    } else problems.push({ path, atKey: false, message: words.leaf(error, path) });
  }
  for (const [location, wanted] of types) {
    const path = decode(location);
    problems.push({ path, atKey: false, message: words.type(path, wanted) });
  }
  for (const path of badDurations(value)) {
    problems.push({ path, atKey: false, message: words.duration(path) });
  }
  return problems;
}

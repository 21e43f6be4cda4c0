/** The facts' documentation, made of their schema: `docs/facts.md` and `docs/facts.schema.json`. */
import { z } from "zod";
import { FACTS_VERSION, labFactsSchema } from "./schema.ts";

interface Shape {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly items?: Shape;
  readonly additionalProperties?: Shape | boolean;
  readonly anyOf?: readonly Shape[];
  readonly enum?: readonly string[];
  readonly const?: unknown;
}

/** JSON Schema (draft 2020-12) of what `patchbay lab facts` prints. */
export const factsJsonSchema = () => ({
  $id: `patchbay-lab-facts-${FACTS_VERSION}`,
  title: `Facts of a Patchbay lab, version ${FACTS_VERSION}`,
  ...z.toJSONSchema(labFactsSchema, { reused: "ref" }),
});

/** Without the alternative `null`, which the type says. */
const solid = (shape: Shape): Shape => shape.anyOf?.find(({ type }) => type !== "null") ?? shape;
const typesOf = ({ type = [] }: Shape): readonly string[] =>
  typeof type === "string" ? [type] : type;
const isNullable = (shape: Shape) =>
  [shape, ...(shape.anyOf ?? [])].some((each) => typesOf(each).includes("null"));

function typeOf(shape: Shape): string {
  const { items, enum: words, const: value } = solid(shape);
  const [type = ""] = typesOf(solid(shape));
  let name = type;
  if (value !== undefined) name = JSON.stringify(value);
  else if (words !== undefined) name = words.map((word) => `\`${word}\``).join(", ");
  else if (type === "array") name = `list of ${typesOf(items ?? {})[0]}s`;
  return isNullable(shape) ? `${name} or null` : name;
}

const cell = (text: string) => text.replaceAll("|", "\\|");

/** A table of an object's fields, then one for each object below. */
function sections(path: string, shape: Shape): string[] {
  const fields = Object.entries(solid(shape).properties ?? {});
  const rows = fields.map(
    ([name, field]) =>
      `| \`${name}\` | ${cell(typeOf(field))} | ${cell(field.description ?? "")} |`,
  );
  const heading = path === "" ? "" : `## ${path}\n\n`;
  const own = `${heading}| field | type | meaning |\n| --- | --- | --- |\n${rows.join("\n")}`;
  const below = fields.flatMap(([name, field]) => {
    const inner = solid(field);
    const object = inner.items === undefined ? inner : solid(inner.items);
    if (object.properties === undefined) return [];
    const at = `${path === "" ? "" : `${path}.`}${name}${inner.items === undefined ? "" : "[]"}`;
    // The two lists of machines have one shape, and so have all lists of what is missing.
    if (at === "neighbours[]" || (name === "missing" && path !== "hosts[]")) return [];
    return sections(at, object);
  });
  return [own, ...below];
}

export function factsDocument(): string {
  const start = `# The facts of a lab

\`npx patchbay lab facts <id> [--host H]\` prints one picture of a lab as JSON, in one pass for each of its machines. Checks
look at the same picture. [facts.schema.json](facts.schema.json) is its JSON Schema; both files are made of
\`sandbox/facts/schema.ts\`.

What the kernel says (\`namespaces\`, \`named\`, and \`namespace\` of a container) is read from outside the lab, by a program
that no student can touch, over netlink, procfs, \`nft -j\` and \`iptables-save\`. What the engine in the lab says
(\`engine\`, \`containers\`, \`networks\`, \`images\`, \`services\`) is the word of a machine whose root is the student.
Names and texts are as the student set them: escape them before you show them.

What can't be had is null, and \`missing\` beside it says why; an engine that hangs or lies leaves the kernel's part whole.

This is version ${FACTS_VERSION}. It grows when a field goes or changes its meaning, not when one is added.

`;
  return `${start}${sections("", z.toJSONSchema(labFactsSchema) as Shape).join("\n\n")}\n`;
}

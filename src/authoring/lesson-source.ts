/** A lesson as its author wrote it: what the content's lint and the lessons' tests look at. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import Slugger from "github-slugger";
import { mdxToMdast } from "satteri";
import { parseSync } from "vite";
import { parse as parseYaml } from "yaml";
import { type Language, languages } from "../i18n/language.ts";

export const checkout = fileURLToPath(new URL("../..", import.meta.url));

/** A component in a lesson. */
export interface LessonElement {
  /** `Run`, `Check`, `VethPair`. */
  readonly name: string;
  /** Values of literals; a flag without a value is `true`. */
  readonly attributes: Readonly<Record<string, unknown>>;
  /** The components that it stands in, outermost first. */
  readonly inside: readonly LessonElement[];
  /** From 1. */
  readonly line: number;
}

export interface Heading {
  readonly depth: number;
  readonly text: string;
  /** As the page's anchor has it. */
  readonly slug: string;
  readonly line: number;
}

export interface Link {
  readonly address: string;
  readonly line: number;
}

/** Running text without code. */
export interface Prose {
  readonly text: string;
  readonly line: number;
}

export interface LessonSource {
  /** From the checkout: `content/lessons/en/bridge.mdx`. */
  readonly file: string;
  readonly language: Language;
  /** `bridge`; `index` for the opening page. */
  readonly name: string;
  readonly frontMatter: Readonly<Record<string, unknown>>;
  readonly elements: readonly LessonElement[];
  readonly headings: readonly Heading[];
  readonly links: readonly Link[];
  readonly prose: readonly Prose[];
}

/** A place in a file that an author should look at. */
export class SourceError extends Error {
  override readonly name = "SourceError";
  readonly file: string;
  readonly line: number;

  constructor(file: string, line: number, message: string) {
    super(message);
    this.file = file;
    this.line = line;
  }
}

interface Node {
  readonly type: string;
  readonly name?: string | null;
  readonly value?: string;
  readonly url?: string;
  readonly depth?: number;
  readonly children?: readonly Node[];
  readonly attributes?: readonly {
    readonly type: string;
    readonly name?: string;
    readonly value?: string | null | { readonly value: string };
  }[];
  readonly position?: { readonly start: { readonly line: number } };
}

const lineOf = (node: Node): number => node.position?.start.line ?? 1;

const textOf = (node: Node): string =>
  node.type === "inlineCode" || node.type === "text"
    ? (node.value ?? "")
    : (node.children ?? []).map(textOf).join("");

const proseOf = (node: Node): string =>
  node.type === "text" ? (node.value ?? "") : (node.children ?? []).map(proseOf).join(" ");

/** An expression in braces must mean the same to everyone who reads the file, so only literals are taken. */
function literal(expression: string, file: string, line: number, attribute: string): unknown {
  const refuse = (why: string) =>
    new SourceError(file, line, `${attribute}={${expression}} is no literal: ${why}`);
  const { program, errors } = parseSync("attribute.js", `(${expression})`);
  if (errors[0] !== undefined) throw refuse(errors[0].message);
  const statement = program.body[0];
  let value = statement?.type === "ExpressionStatement" ? statement.expression : undefined;
  if (value?.type === "ParenthesizedExpression") value = value.expression;
  if (value?.type === "Literal") return value.value;
  const [text, ...more] = value?.type === "TemplateLiteral" ? value.quasis : [];
  if (text !== undefined && more.length === 0) return text.value.cooked;
  throw refuse("write a text, a number, true or false");
}

function attributesOf(node: Node, file: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const { name, value } of node.attributes ?? []) {
    if (name === undefined) {
      throw new SourceError(file, lineOf(node), "spread attributes hide what a component is given");
    }
    found[name] =
      value === undefined || value === null
        ? true
        : typeof value === "string"
          ? value
          : literal(value.value, file, lineOf(node), name);
  }
  return found;
}

/** Reads one file. Throws `SourceError` where it is no MDX, or has attributes that are no literals. */
export function readLesson(path: string, language: Language, root = checkout): LessonSource {
  const file = relative(root, path);
  let tree: Node;
  try {
    tree = mdxToMdast(readFileSync(path, "utf8")) as Node;
  } catch (error) {
    const { message } = error as Error;
    throw new SourceError(file, Number(message.match(/^(\d+):/)?.[1] ?? 1), message);
  }
  const elements: LessonElement[] = [];
  const headings: Heading[] = [];
  const links: Link[] = [];
  const prose: Prose[] = [];
  const slugger = new Slugger();
  let frontMatter: Record<string, unknown> = {};

  const visit = (node: Node, inside: readonly LessonElement[]): void => {
    const line = lineOf(node);
    let within = inside;
    if (node.type === "yaml") {
      try {
        frontMatter = (parseYaml(node.value ?? "") ?? {}) as Record<string, unknown>;
      } catch (error) {
        throw new SourceError(
          file,
          line,
          `the front matter is no YAML: ${(error as Error).message.split("\n")[0]}`,
        );
      }
    } else if (node.type.startsWith("mdxJsx") && node.name) {
      const attributes = attributesOf(node, file);
      const element = { name: node.name, attributes, inside, line };
      elements.push(element);
      within = [...inside, element];
      if (typeof attributes["href"] === "string") links.push({ address: attributes["href"], line });
    } else if (node.type === "heading") {
      const text = textOf(node);
      headings.push({ depth: node.depth ?? 1, text, slug: slugger.slug(text), line });
    } else if (node.type === "link") links.push({ address: node.url ?? "", line });
    if (["paragraph", "heading", "tableCell"].includes(node.type)) {
      prose.push({ text: proseOf(node).trim(), line });
    }
    for (const child of node.children ?? []) visit(child, within);
  };
  visit(tree, []);
  return {
    file,
    language,
    name: basename(path, ".mdx"),
    frontMatter,
    elements,
    headings,
    links,
    prose,
  };
}

/** The files of the lessons in every language. */
export function lessonFiles(
  root = checkout,
): readonly { readonly path: string; readonly language: Language }[] {
  return languages.flatMap((language) => {
    const folder = join(root, "content", "lessons", language);
    return (existsSync(folder) ? readdirSync(folder) : [])
      .filter((file) => file.endsWith(".mdx"))
      .sort()
      .map((file) => ({ path: join(folder, file), language }));
  });
}

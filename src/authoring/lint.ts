/** What an author may have got wrong in the content, found without building the site. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { exercises } from "../../graders/index.ts";
import { didYouMean } from "../../sandbox/did-you-mean.ts";
import { topologies } from "../../sandbox/index.ts";
import { parseGlossary } from "../course/glossary.ts";
import { parseQuizzes } from "../course/quizzes.ts";
import { type Language, languages } from "../i18n/language.ts";
import {
  checkout,
  type LessonElement,
  type LessonSource,
  lessonFiles,
  readLesson,
  SourceError,
} from "./lesson-source.ts";

export interface Problem {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

type Report = (line: number, message: string) => void;

/** What each component of the lessons takes, and whether it must be given. */
const components: Readonly<Record<string, Readonly<Record<string, "needed" | "optional">>>> = {
  Answer: { exercise: "needed", label: "needed" },
  Check: { exercise: "needed" },
  Hint: { title: "optional" },
  Hints: {},
  Output: { text: "needed" },
  PortLink: { port: "needed", path: "optional", host: "optional" },
  Quiz: { id: "needed" },
  Run: {
    command: "needed",
    expect: "optional",
    exit: "optional",
    host: "optional",
    terminal: "optional",
    interrupt: "optional",
    background: "optional",
    seconds: "optional",
  },
  Since: { engine: "needed", title: "optional" },
  Solution: { exercise: "needed", title: "optional" },
  Term: { id: "needed" },
};

function checkAttributes({ name, attributes, line }: LessonElement, report: Report): void {
  const known = components[name];
  if (known === undefined) return;
  for (const given of Object.keys(attributes)) {
    if (!Object.hasOwn(known, given)) {
      report(line, `<${name}>: ${didYouMean("attribute", given, Object.keys(known))}`);
    }
  }
  for (const [attribute, need] of Object.entries(known)) {
    if (need === "needed" && attributes[attribute] === undefined) {
      report(line, `<${name}> needs ${attribute}`);
    }
  }
}

function checkRun(element: LessonElement, lesson: LessonSource, report: Report): void {
  const { attributes, line } = element;
  const { command, expect, exit, host, seconds } = attributes;
  if (typeof command === "string" && command.trim() === "") report(line, "<Run>: command is empty");
  if (expect === undefined && exit === undefined) {
    report(line, '<Run> has no expectation: give expect="a pattern of its output", or exit={0}');
  }
  if (expect !== undefined) {
    try {
      const pattern = new RegExp(String(expect), "ms");
      if (pattern.test("")) report(line, `<Run>: expect="${expect}" holds for no output at all`);
    } catch (error) {
      report(line, `<Run>: expect="${expect}" is no pattern: ${(error as Error).message}`);
    }
  }
  if (exit !== undefined && !(Number.isInteger(exit) && Number(exit) >= 0 && Number(exit) < 256)) {
    report(line, `<Run>: exit is a number from 0 to 255, in braces: exit={1}`);
  }
  if (seconds !== undefined && !(Number(seconds) >= 1 && Number(seconds) <= 300)) {
    report(line, "<Run>: seconds is a number from 1 to 300, in braces: seconds={60}");
  }
  const topology = topologies[String(lesson.frontMatter["lab"])];
  if (topology === undefined) report(line, "<Run> stands on a page without a lab");
  else if (host !== undefined) {
    const names = [...topology.hosts, ...topology.neighbours].map(({ name }) => name);
    if (!names.includes(String(host)))
      report(line, `<Run>: ${didYouMean("host", String(host), names)}`);
  }
}

function checkExercise(element: LessonElement, lesson: LessonSource, report: Report): void {
  const { attributes, line, name } = element;
  const id = String(attributes["exercise"]);
  const exercise = exercises.find((each) => each.id === id);
  if (exercise === undefined) {
    const ids = exercises.map((each) => each.id);
    report(line, `<${name}>: ${didYouMean("exercise", id, ids)}`);
  } else if (exercise.lab !== lesson.frontMatter["lab"]) {
    const lab = String(lesson.frontMatter["lab"] ?? "none");
    report(line, `<${name}>: ${id} runs in lab "${exercise.lab}", and this page's is "${lab}"`);
  }
}

/** Ids of the data that lessons point to. */
interface ContentData {
  /** `bridge/arp`, with the file that it stands in. */
  readonly quizzes: ReadonlyMap<string, string>;
  readonly terms: ReadonlySet<string>;
}

/** Reads questions and terms; a file that is wrong is told, and counts as empty. */
function readData(root: string, problems: Problem[]): ContentData {
  const attempt = <T>(file: string, read: (text: string) => T, otherwise: T): T => {
    const path = join(root, file);
    if (!existsSync(path)) return otherwise;
    try {
      return read(readFileSync(path, "utf8"));
    } catch (error) {
      problems.push({ file, line: 1, message: (error as Error).message.replace(`${file} `, "") });
      return otherwise;
    }
  };
  const glossaryFile = join("content", "glossary.yaml");
  const glossary = attempt(glossaryFile, (text) => parseGlossary(glossaryFile, text), {});
  const folder = join("content", "quizzes");
  const files = existsSync(join(root, folder)) ? readdirSync(join(root, folder)) : [];
  const quizzes = files.flatMap((name) => {
    const file = join(folder, name);
    const lesson = basename(name, ".yaml");
    return attempt(file, (text) => parseQuizzes(file, text), []).map(
      ({ id }) => [`${lesson}/${id}`, file] as const,
    );
  });
  return { quizzes: new Map(quizzes), terms: new Set(Object.keys(glossary)) };
}

function checkFrontMatter({ frontMatter }: LessonSource, report: Report): void {
  for (const field of ["title", "description"]) {
    const value = frontMatter[field];
    if (typeof value !== "string" || value.trim() === "")
      report(1, `the front matter needs ${field}`);
  }
  const { lab } = frontMatter;
  if (lab !== undefined && !Object.hasOwn(topologies, String(lab))) {
    report(1, `lab: ${didYouMean("lab", String(lab), Object.keys(topologies))}`);
  }
}

function checkPage(lesson: LessonSource, data: ContentData, report: Report): void {
  checkFrontMatter(lesson, report);
  for (const element of lesson.elements) {
    const { name, attributes, line } = element;
    checkAttributes(element, report);
    if (name === "Run") checkRun(element, lesson, report);
    if (["Answer", "Check", "Solution"].includes(name)) checkExercise(element, lesson, report);
    if (name === "Quiz" && !data.quizzes.has(String(attributes["id"]))) {
      report(
        line,
        `<Quiz>: ${didYouMean("question", String(attributes["id"]), [...data.quizzes.keys()])}`,
      );
    }
    if (name === "Term" && !data.terms.has(String(attributes["id"]))) {
      report(line, `<Term>: ${didYouMean("term", String(attributes["id"]), [...data.terms])}`);
    }
  }
  if (lesson.language === "ru") {
    for (const { text, line } of lesson.prose) {
      const words = text.match(/\p{L}{3,}/gu) ?? [];
      if (words.length > 5 && !/\p{Script=Cyrillic}/u.test(text)) {
        report(line, `not translated: “${text.slice(0, 60)}”`);
      }
    }
  }
}

/** The address at which a page is served. */
const addressOf = ({ language, name }: LessonSource): string =>
  `${language === "en" ? "/" : `/${language}/`}${name === "index" ? "" : `${name}/`}`;

/** Pages that are no MDX of the content. */
const builtPages = ["/glossary/", "/ru/glossary/"];

function checkLinks(lesson: LessonSource, all: readonly LessonSource[], report: Report): void {
  const pages = new Map(all.map((each) => [addressOf(each), each]));
  for (const { address, line } of lesson.links) {
    if (/^(https?|mailto):/.test(address)) continue;
    const { pathname, hash } = new URL(address, `http://course${addressOf(lesson)}`);
    const page = pages.get(pathname);
    if (page === undefined) {
      if (!builtPages.includes(pathname)) {
        const known = [...pages.keys(), ...builtPages];
        report(line, `dead link ${address}: ${didYouMean("page", pathname, known)}`);
      }
      continue;
    }
    if (page.language !== lesson.language) {
      report(line, `${address} leads to the page in another language`);
    }
    const anchor = decodeURIComponent(hash.slice(1));
    if (anchor !== "" && !page.headings.some(({ slug }) => slug === anchor)) {
      const slugs = page.headings.map(({ slug }) => slug);
      report(line, `dead link ${address}: ${didYouMean("heading", anchor, slugs)}`);
    }
  }
}

/** What both versions of a lesson must have in the same order, as words to compare. */
function skeleton(lesson: LessonSource): { readonly words: string; readonly line: number }[] {
  const same = [
    ...lesson.elements
      // Elements of HTML are the translator's; so is where in a sentence a term stands.
      .filter(({ name }) => /^[A-Z]/.test(name) && !["Term", "Output", "PortLink"].includes(name))
      .map(({ name, attributes, line }) => {
        const { title: _, label: __, ...rest } = attributes;
        const told = Object.entries(rest).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
        return { words: [`<${name}`, ...told.sort()].join(" "), line };
      }),
    ...lesson.headings.map(({ depth, line }) => ({ words: `a heading of level ${depth}`, line })),
  ];
  return same.sort((a, b) => a.line - b.line);
}

/** The first place where two versions of a lesson differ in what must be the same. */
function checkDrift(lesson: LessonSource, original: LessonSource, report: Report): void {
  const [here, there] = [skeleton(lesson), skeleton(original)];
  for (let at = 0; at < Math.max(here.length, there.length); at += 1) {
    const [mine, its] = [here[at], there[at]];
    if (mine?.words === its?.words) continue;
    const place = `${original.file}:${its?.line ?? "end"}`;
    report(
      mine?.line ?? lesson.headings.at(-1)?.line ?? 1,
      `drifted from ${place}: here ${mine?.words ?? "nothing more"}, there ${its?.words ?? "nothing more"}`,
    );
    return;
  }
  const terms = (of: LessonSource) =>
    new Set(of.elements.filter(({ name }) => name === "Term").map((each) => each.attributes["id"]));
  const lacking = [...terms(original).difference(terms(lesson))];
  if (lacking.length > 0) {
    report(1, `terms of ${original.file} that are missing here: ${lacking.join(", ")}`);
  }
}

/** Every exercise of a lesson must be on its page. */
function checkComplete(lesson: LessonSource, report: Report): void {
  const checked = new Set(
    lesson.elements
      .filter(({ name }) => name === "Check")
      .map((each) => each.attributes["exercise"]),
  );
  const lacking = exercises.filter(
    (exercise) => exercise.lab === lesson.frontMatter["lab"] && !checked.has(exercise.id),
  );
  for (const { id } of lacking) report(1, `there is no <Check exercise="${id}" />`);
}

/** Everything that is wrong with the content under a checkout; empty where nothing is. */
export function lintContent(root = checkout): readonly Problem[] {
  const problems: Problem[] = [];
  const data = readData(root, problems);
  const lessons: LessonSource[] = [];
  for (const { path, language } of lessonFiles(root)) {
    try {
      lessons.push(readLesson(path, language, root));
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      problems.push({ file: error.file, line: error.line, message: error.message });
    }
  }
  const find = (language: Language, name: string) =>
    lessons.find((lesson) => lesson.language === language && lesson.name === name);
  for (const lesson of lessons) {
    const report = (line: number, message: string) => {
      problems.push({ file: lesson.file, line, message });
    };
    checkPage(lesson, data, report);
    checkLinks(lesson, lessons, report);
    if (lesson.frontMatter["lab"] !== undefined) checkComplete(lesson, report);
    const original = find("en", lesson.name);
    if (lesson.language !== "en" && original !== undefined) checkDrift(lesson, original, report);
    for (const language of languages) {
      if (find(language, lesson.name) === undefined) {
        const file = join("content", "lessons", language, `${lesson.name}.mdx`);
        report(1, `there is no ${file}`);
      }
    }
  }
  const asked = new Set(
    lessons.flatMap(({ elements }) =>
      elements.filter(({ name }) => name === "Quiz").map(({ attributes }) => attributes["id"]),
    ),
  );
  for (const [id, file] of data.quizzes) {
    if (!asked.has(id)) problems.push({ file, line: 1, message: `no page asks "${id}"` });
  }
  return problems.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}

/** What the course has in `content/`, as Vite reads it: a change shows itself at once while one writes. */
import { didYouMean } from "../../sandbox/did-you-mean.ts";
import { type Glossary, parseGlossary } from "./glossary.ts";
import { parseQuizzes, type Quiz } from "./quizzes.ts";

const quizFiles = import.meta.glob<string>("/content/quizzes/*.yaml", {
  query: "?raw",
  import: "default",
  eager: true,
});
const glossaryFiles = import.meta.glob<string>("/content/glossary.yaml", {
  query: "?raw",
  import: "default",
  eager: true,
});

/** Every question of the course by its name, `<lesson>/<id>`. */
const quizzes = new Map<string, Quiz>(
  Object.entries(quizFiles).flatMap(([path, text]) => {
    const lesson = path.replace(/^.*\/|\.yaml$/g, "");
    return parseQuizzes(path.slice(1), text).map((quiz) => [`${lesson}/${quiz.id}`, quiz] as const);
  }),
);

export const glossary: Glossary = Object.entries(glossaryFiles).reduce<Glossary>(
  (_, [path, text]) => parseGlossary(path.slice(1), text),
  {},
);

/** Throws, with the nearest name, where there is no such question. */
export function quizOf(id: string): Quiz {
  const quiz = quizzes.get(id);
  if (quiz === undefined) throw new Error(didYouMean("quiz", id, [...quizzes.keys()]));
  return quiz;
}

/** Throws, with the nearest name, where there is no such term. */
export function termOf(id: string): Glossary[string] {
  const found = glossary[id];
  if (found === undefined) throw new Error(didYouMean("term", id, Object.keys(glossary)));
  return found;
}

/** Names of a lesson's questions, in the order of its file. */
export const quizzesOf = (lesson: string): readonly string[] =>
  [...quizzes.keys()].filter((id) => id.startsWith(`${lesson}/`));

/** What graders say, in the languages of the course. */
import { plural } from "./plural.ts";

export type Language = "en" | "ru";

export const languages: readonly Language[] = ["en", "ru"];

/** A text in both languages; a plain string is English, or a name or a command, and the same in each of them. */
export type Text = string | Readonly<Record<Language, string>>;

export const inLanguage = (text: Text, language: Language): string =>
  typeof text === "string" ? text : text[language];

/**
 * Puts a text together for each language; one that comes out the same is a plain string. In a template without a
 * language it is English, so that an exercise in English alone can use what others have made in both.
 */
export function eachLanguage(say: (language: Language) => string): Text {
  const [en, ru] = [say("en"), say("ru")];
  return en === ru ? en : Object.defineProperty({ en, ru }, "toString", { value: () => en });
}

type Part = Text | number;

const filled = (
  strings: TemplateStringsArray,
  parts: readonly Part[],
  language: Language,
): string =>
  String.raw(
    { raw: strings },
    ...parts.map((part) => (typeof part === "number" ? part : inLanguage(part, language))),
  );

/** A template's English: texts in it are said in English. */
export const en = (strings: TemplateStringsArray, ...parts: readonly Part[]): string =>
  filled(strings, parts, "en");

/** A template's Russian: texts in it are said in Russian. */
export const ru = (strings: TemplateStringsArray, ...parts: readonly Part[]): string =>
  filled(strings, parts, "ru");

/** A template that is the same in every language, but for the texts in it. */
export const words = (strings: TemplateStringsArray, ...parts: readonly Part[]): Text =>
  eachLanguage((language) => filled(strings, parts, language));

export const joined = (texts: readonly Text[], separator: string): Text =>
  eachLanguage((language) => texts.map((each) => inLanguage(each, language)).join(separator));

/** A number with its Russian noun: `counted(3, "воркер", "воркера", "воркеров")` is `3 воркера`. */
export const counted = (n: number, one: string, few: string, many: string): string =>
  plural(
    "ru",
    { one: `{n} ${one}`, few: `{n} ${few}`, many: `{n} ${many}`, other: `{n} ${few}` },
    n,
  );

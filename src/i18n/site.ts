/** What the pages say around the lessons. */
import { type Language, languageOf } from "./language.ts";

const en = {
  answer: { label: "Your answer", save: "Save" },
  hints: { next: "Show a hint" },
  solution: { summary: "A solution" },
  since: { label: (engine: string) => `Changed in Docker ${engine}` },
};

export type SiteText = typeof en;

const ru: SiteText = {
  answer: { label: "Ваш ответ", save: "Сохранить" },
  hints: { next: "Показать подсказку" },
  solution: { summary: "Решение" },
  since: { label: (engine) => `Изменилось в Docker ${engine}` },
};

const texts: Readonly<Record<Language, SiteText>> = { en, ru };

/** The words of a page in its language. */
export const siteText = (astro: { readonly currentLocale: string | undefined }): SiteText =>
  texts[languageOf(astro.currentLocale)];

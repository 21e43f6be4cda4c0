/** The languages of the course. English pages lie at the root, Russian ones under `/ru/`. */
import type { Language } from "../../graders/core/text.ts";

export { type Language, languages } from "../../graders/core/text.ts";

/** The language of a page by its tag, as `<html lang>` and Astro's `currentLocale` have it. */
export const languageOf = (tag: string | undefined): Language =>
  tag?.toLowerCase().startsWith("ru") ? "ru" : "en";

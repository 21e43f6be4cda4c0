/** The languages of the course. English pages lie at the root, Russian ones under `/ru/`. */
export type Language = "en" | "ru";

export const languages: readonly Language[] = ["en", "ru"];

/** The language of a page by its tag, as `<html lang>` and Astro's `currentLocale` have it. */
export const languageOf = (tag: string | undefined): Language =>
  tag?.toLowerCase().startsWith("ru") ? "ru" : "en";

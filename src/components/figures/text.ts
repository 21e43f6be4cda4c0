import { type Language, languageOf } from "../../i18n/language.ts";

/** A figure's words in the language of the page that it stands on. */
export const figureText = <T>(
  astro: { readonly currentLocale: string | undefined },
  texts: Readonly<Record<Language, T>>,
): T => texts[languageOf(astro.currentLocale)];

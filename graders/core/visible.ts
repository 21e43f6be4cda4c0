import { counted, eachLanguage, inLanguage, type Language, type Text } from "./text.ts";

/** Longer texts than that are nobody's answer. */
const LIMIT = 4000;

/**
 * What would do something to a terminal, a page or a reader in place of being read: control characters, marks that turn
 * the direction of writing, invisible ones, halves of characters. Line breaks stay.
 */
const unseen =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come through
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const more: Readonly<Record<Language, (characters: number) => string>> = {
  en: (characters) => `${characters} characters more`,
  ru: (characters) => `ещё ${counted(characters, "символ", "символа", "символов")}`,
};

function shown(text: string, language: Language): string {
  const cut =
    text.length > LIMIT
      ? `${text.slice(0, LIMIT)}… (${more[language](text.length - LIMIT)})`
      : text;
  return cut.replace(unseen, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * A text from a lab as it may be shown anywhere, in each of its languages: what can't be seen stands there by its
 * number, `\u001b`, and what is too long is cut.
 */
export function visible(text: string): string;
export function visible(text: Text): Text;
export function visible(text: Text): Text {
  if (typeof text === "string") return shown(text, "en");
  return eachLanguage((language) => shown(inLanguage(text, language), language));
}

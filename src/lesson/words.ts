import type { ClientText } from "../i18n/site.ts";

let words: ClientText | undefined;

/** What scripts say, in the language of the page, which carries it. */
export function clientText(): ClientText {
  words ??= JSON.parse(document.getElementById("pb-words")?.textContent ?? "{}") as ClientText;
  return words;
}

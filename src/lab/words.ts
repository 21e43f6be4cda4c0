import { ApiError } from "../http-client/request.ts";
import type { LabText } from "../i18n/lab.ts";

let words: LabText | undefined;

/** What the page's lab says, in the page's language; `undefined` on a page without a lab. See `LabPane.astro`. */
export function labWords(): LabText | undefined {
  const data = document.getElementById("pb-lab-words")?.textContent;
  if (data) words ??= JSON.parse(data) as LabText;
  return words;
}

/** What went wrong with a request, in the page's language where it knows the words. */
export function problemWords(text: LabText, error: unknown): string {
  if (error instanceof ApiError) return text.problems[error.code] ?? error.message;
  // `fetch` throws it where no server answers.
  if (error instanceof TypeError) return text.pane.unreachable;
  return error instanceof Error ? error.message : String(error);
}

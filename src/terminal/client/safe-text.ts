/** Text from outside the page, made harmless before it is shown or sent. */

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const controls = /[\u0000-\u001f\u007f-\u009f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const controlsInPaste = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
/** Marks that make text read in another order than it stands. */
const directionMarks = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const maxTitleLength = 60;

/** A title that a program set, fit for a tooltip: no control characters, no direction marks, short. */
export function safeTitle(title: string): string {
  const text = title.replace(controls, " ").replace(directionMarks, "").trim();
  return text.length <= maxTitleLength ? text : `${text.slice(0, maxTitleLength - 1)}…`;
}

/**
 * Pasted text without control characters but tab and line ends. An ESC in it could end a bracketed
 * paste early, and what follows would run by itself.
 */
export function safePaste(text: string): string {
  return text.replace(controlsInPaste, "");
}

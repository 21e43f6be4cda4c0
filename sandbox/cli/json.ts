/** Sequences of a terminal that begin beyond ASCII, and marks that turn the direction of writing. */
const beyondAscii = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** JSON for standard output, with a line break: whatever names a student chose, nothing in it moves a terminal. */
export const jsonText = (value: unknown): string =>
  `${JSON.stringify(value, null, 2).replace(
    beyondAscii,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )}\n`;

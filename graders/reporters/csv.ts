/** What a spreadsheet takes for the start of a formula: OWASP, “CSV Injection”. */
const formula = /^[=+\-@\t\r]/;

/** A cell that begins like a formula gets an apostrophe before it, which spreadsheets show as text. */
function cellOf(text: string): string {
  const safe = formula.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Rows as CSV after RFC 4180, with a line break after each. */
export const csvOf = (rows: readonly (readonly string[])[]): string =>
  rows.map((row) => `${row.map(cellOf).join(",")}\r\n`).join("");

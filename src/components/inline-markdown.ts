const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

/**
 * HTML of a line of Markdown with `code`, *em* and **strong**, which quizzes and the glossary are written in. All else
 * stands for itself.
 */
export function inlineMarkdown(text: string): string {
  // Odd parts stood between backticks: nothing in them is markup.
  return text
    .replace(/[&<>"]/g, (sign) => escapes[sign] ?? sign)
    .split("`")
    .map((part, index) =>
      index % 2 === 1
        ? `<code>${part}</code>`
        : part
            .replace(/\*\*(\S(?:.*?\S)?)\*\*/g, "<strong>$1</strong>")
            .replace(/\*(\S(?:.*?\S)?)\*/g, "<em>$1</em>"),
    )
    .join("");
}

/** The same text without its marks, for attributes. */
export const plainText = (text: string): string =>
  text
    .split("`")
    .map((part, index) => (index % 2 === 1 ? part : part.replace(/\*+(\S(?:.*?\S)?)\*+/g, "$1")))
    .join("");

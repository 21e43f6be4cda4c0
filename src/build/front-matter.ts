import { closest, distance } from "fastest-levenshtein";
import { stringify } from "yaml";

/** What a page may say of itself: our `lab`, and what Starlight knows. */
const known = [
  ...["title", "description", "lab", "hero", "template", "pagefind", "tableOfContents", "head"],
  ...["prev", "next", "sidebar", "banner", "draft", "editUrl", "lastUpdated", "slug"],
];

/** Longer ones are cut by search engines and fill a card of the course map. */
const DESCRIPTION_LENGTH = 250;

const isText = (value: unknown): value is string =>
  typeof value === "string" && value.trim() !== "";

/**
 * What is wrong with the front matter of a page, one line for each mistake, and how it should read instead;
 * `undefined` where nothing is. `labs` are the labs that there are.
 */
export function frontMatterProblem(data: unknown, labs: readonly string[]): string | undefined {
  const given = (typeof data === "object" && data !== null ? data : {}) as Record<string, unknown>;
  const mistakes: string[] = [];
  const right: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) {
    if (known.includes(key)) {
      right[key] = value;
      continue;
    }
    const near = closest(key, known);
    if (distance(key, near) <= 2 && given[near] === undefined) {
      mistakes.push(`"${key}" is called "${near}".`);
      right[near] = value;
    } else {
      mistakes.push(`"${key}" is unknown: leave it out. A page has ${known.join(", ")}.`);
    }
  }
  if (!isText(right["title"])) {
    mistakes.push("Give the page a title.");
    right["title"] = "What the page is called";
  }
  const { description, lab } = right;
  if (!isText(description)) {
    mistakes.push("Give the page a description: a sentence for the course map and for search.");
    right["description"] = "What one learns here, in a sentence.";
  } else if (description.length > DESCRIPTION_LENGTH) {
    mistakes.push(
      `The description has ${description.length} characters: say it in ${DESCRIPTION_LENGTH}.`,
    );
    right["description"] = `${description.slice(0, 60)} …`;
  }
  if (lab !== undefined && !labs.includes(String(lab))) {
    const near = closest(String(lab), [...labs]);
    mistakes.push(`There is no lab "${String(lab)}". There are: ${labs.join(", ")}.`);
    right["lab"] = near;
  }
  if (mistakes.length === 0) return undefined;
  const ordered = Object.fromEntries([
    ...["title", "description", "lab"].flatMap((key) => (key in right ? [[key, right[key]]] : [])),
    ...Object.entries(right),
  ]);
  return [
    ...mistakes,
    "It should read like this:",
    "",
    "---",
    stringify(ordered, { lineWidth: 0 }).trimEnd(),
    "---",
  ].join("\n");
}

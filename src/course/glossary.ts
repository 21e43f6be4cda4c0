/** The glossary: one YAML file, both languages side by side. */
import { z } from "zod";
import { parseYaml } from "./yaml.ts";

const entry = z.strictObject({
  /** As a dictionary has it: small letters, singular. */
  term: z.string().min(1),
  /** One to three sentences; inline Markdown. */
  text: z.string().min(1),
});

const glossarySchema = z.record(
  z.string().regex(/^[a-z][a-z0-9-]*$/, "use a-z, 0-9 and -, starting with a letter"),
  z.strictObject({ en: entry, ru: entry }),
);

export type Glossary = z.output<typeof glossarySchema>;

/** Throws an error with every mistake, where it is and how to mend it. */
export function parseGlossary(file: string, text: string): Glossary {
  const glossary = parseYaml(file, text, glossarySchema.nullable()) ?? {};
  const ids = Object.keys(glossary);
  const misplaced = ids.find((id, index) => index > 0 && id < (ids[index - 1] ?? ""));
  if (misplaced !== undefined) {
    throw new Error(
      `${file}: "${misplaced}" is not in its place; keys stand in alphabetical order.`,
    );
  }
  return glossary;
}

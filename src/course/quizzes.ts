/** Quizzes: questions as data, both languages side by side, one YAML file per lesson. */
import { z } from "zod";
import { parseYaml } from "./yaml.ts";

const words = z.strictObject({
  /** Inline Markdown: `code`, *em*, **strong**. */
  en: z.string().min(1),
  ru: z.string().min(1),
});

const option = z.strictObject({
  text: words,
  right: z.boolean().default(false),
  /** Shown when this option was chosen. */
  why: words.optional(),
});

const question = {
  /** Unique in the file; the quiz is called `<lesson>/<id>`. */
  id: z.string().regex(/^[a-z][a-z0-9-]*$/, "use a-z, 0-9 and -, starting with a letter"),
  question: words,
  /** Shown once the question is answered, rightly or not. */
  explanation: words,
};

const right = (options: readonly z.output<typeof option>[]) =>
  options.filter((each) => each.right).length;

export const quizSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    ...question,
    kind: z.literal("one"),
    options: z
      .array(option)
      .min(2, "give at least two options")
      .refine((options) => right(options) === 1, "mark exactly one option with `right: true`"),
  }),
  z.strictObject({
    ...question,
    kind: z.literal("many"),
    options: z
      .array(option)
      .min(2, "give at least two options")
      .refine((options) => right(options) > 0, "mark at least one option with `right: true`"),
  }),
  z.strictObject({
    ...question,
    kind: z.literal("order"),
    /** In the right order. */
    items: z.array(words).min(3, "give at least three items"),
  }),
  z.strictObject({
    ...question,
    kind: z.literal("match"),
    pairs: z.array(z.strictObject({ left: words, right: words })).min(2, "give at least two pairs"),
  }),
  z.strictObject({
    ...question,
    kind: z.literal("text"),
    /** Regular expressions for the whole answer, whatever its case. */
    accept: z
      .array(
        z.string().refine((source) => {
          try {
            return new RegExp(source) !== undefined;
          } catch {
            return false;
          }
        }, "is no regular expression"),
      )
      .min(1, "give at least one pattern"),
    placeholder: words.optional(),
  }),
]);

export type Quiz = z.output<typeof quizSchema>;

/** The questions of a file. Throws an error with every mistake, where it is and how to mend it. */
export function parseQuizzes(file: string, text: string): readonly Quiz[] {
  const quizzes = parseYaml(file, text, z.array(quizSchema).nullable()) ?? [];
  const seen = new Set<string>();
  for (const { id } of quizzes) {
    if (seen.has(id)) throw new Error(`${file} has two questions "${id}": give each its own id.`);
    seen.add(id);
  }
  return quizzes;
}

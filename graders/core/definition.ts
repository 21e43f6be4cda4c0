/** What an exercise must look like, for modules that nobody compiled against it. */
import { z } from "zod";
import type { Check, Exercise } from "./exercise.ts";

const text = z.string().trim().min(1);
/** A plain string is the same in each language. */
const said = z.union(
  [text, z.strictObject({ en: text, ru: text })],
  "write a text, or the same in both languages: { en, ru }",
);
const slug = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, "write it in kebab-case, like no-second-network");

const checkSchema = z.custom<Check>(
  (value) =>
    typeof value === "object" &&
    value !== null &&
    typeof (value as Check).run === "function" &&
    Array.isArray((value as Check).needs),
  "make it with check({ id, title, run }) or edge({ id, title, run })",
);

const step = z.strictObject({ host: text.exactOptional(), script: z.string() });
const answer = {
  name: slug,
  title: text,
  script: z.union([z.string(), z.array(step).min(1)], "a script, or a list of { host, script }"),
};

export const exerciseSchema = z
  .strictObject({
    id: z
      .string()
      .regex(/^[a-z0-9]+(-[a-z0-9]+)*\/[a-z0-9]+(-[a-z0-9]+)*$/, "write it like lesson/what-to-do"),
    title: said,
    lesson: slug,
    lab: text,
    requires: z.array(text),
    checks: z.array(checkSchema).min(1, "give at least one check"),
    solutions: z.array(z.strictObject(answer)).min(1, "give at least one solution"),
    between: text.exactOptional(),
    wrongAnswers: z
      .array(z.strictObject({ ...answer, rejectedBy: text }))
      .min(
        1,
        "give at least one wrong answer: without any, nothing shows that the checks can refuse",
      ),
  })
  .check(({ value, issues }) => {
    const refuse = (path: (string | number)[], message: string) =>
      issues.push({ code: "custom", path, message, input: value });
    const ids = new Set<string>();
    for (const [index, { id, title, needs }] of value.checks.entries()) {
      if (!slug.safeParse(id).success) {
        refuse(["checks", index, "id"], `write "${id}" in kebab-case, like web-runs`);
      }
      if (ids.has(id)) refuse(["checks", index, "id"], `"${id}" is taken: take another id`);
      ids.add(id);
      const titled = said.safeParse(title);
      if (!titled.success) {
        refuse(["checks", index, "title"], titled.error.issues[0]?.message ?? "give it a title");
      }
      for (const need of needs) {
        if (value.checks.includes(need)) continue;
        refuse(
          ["checks", index, "needs"],
          `"${need.id}" is not among the checks: list it there too`,
        );
      }
    }
    for (const kind of ["solutions", "wrongAnswers"] as const) {
      const names = new Set<string>();
      for (const [index, { name }] of value[kind].entries()) {
        if (names.has(name)) refuse([kind, index, "name"], `"${name}" is taken: take another name`);
        names.add(name);
      }
    }
    for (const [index, { rejectedBy }] of value.wrongAnswers.entries()) {
      if (ids.has(rejectedBy)) continue;
      const message = `there is no check "${rejectedBy}": take one of ${[...ids].join(", ")}`;
      refuse(["wrongAnswers", index, "rejectedBy"], message);
    }
  }) satisfies z.ZodType<Exercise, unknown>;

/** Progress as a file: what a student takes along to another browser or machine. */
import { z } from "zod";
import { ApiError } from "./errors.ts";
import { type Progress, progressQuota, RESULT_BYTES } from "./progress.ts";

const FORMAT = "patchbay-progress";
/** Version 1 had the graders' texts in English alone. */
const VERSION = 2;
/** Of a file; what one session may store fits. */
export const PROGRESS_FILE_BYTES = 2.5 * 2 ** 20;
const ISSUES_TOLD = 3;
const ANSWER_BYTES = 1024;

/** Path of a lesson, or name of a question: `iptables`. */
export const nameSchema = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, "no lesson's name");
const pairSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,63}\/[a-z0-9][a-z0-9-]{0,63}$/, "no <lesson>/<name>");
const scalar = z.union([z.string().max(500), z.number(), z.boolean()]);
export const answerSchema = z
  .union([scalar, z.array(z.union([scalar, z.array(scalar).max(4)])).max(50)])
  .refine((answer) => Buffer.byteLength(JSON.stringify(answer)) <= ANSWER_BYTES, {
    error: `an answer has at most ${ANSWER_BYTES} bytes`,
  });

/** A clock that was wrong on another machine must not put things off for ever. */
const timeMs = z
  .int()
  .nonnegative()
  .transform((at) => Math.min(at, Date.now()));
const count = z.int().positive().max(1_000_000);
const words = z.string().max(2001);
const text = z.union([words, z.strictObject({ en: words, ru: words })]);
const checkBase = { id: z.string().max(100), title: text };
const resultSchema = z
  .object({
    exercise: pairSchema,
    status: z.enum(["passed", "failed", "skipped", "errored"]),
    durationMs: z.number().nonnegative(),
    checks: z
      .array(
        z.discriminatedUnion("status", [
          z.object({ ...checkBase, status: z.literal("passed"), actual: text.exactOptional() }),
          z.object({
            ...checkBase,
            status: z.literal("failed"),
            expected: text,
            actual: text,
            hint: text.exactOptional(),
          }),
          z.object({ ...checkBase, status: z.literal("skipped"), because: text }),
          z.object({ ...checkBase, status: z.literal("errored"), error: text }),
        ]),
      )
      .max(100),
  })
  .refine((result) => Buffer.byteLength(JSON.stringify(result)) <= RESULT_BYTES, {
    error: `a result has at most ${RESULT_BYTES} bytes`,
  });

const fileSchema = z.object({
  format: z.literal(FORMAT, "this is no progress of Patchbay"),
  version: z.literal([1, VERSION], `this Patchbay reads versions 1 and ${VERSION}`),
  lessons: z.record(nameSchema, z.object({ readAtMs: timeMs })),
  quizzes: z.record(
    pairSchema,
    z.object({ answer: answerSchema, right: z.boolean(), attempts: count, atMs: timeMs }),
  ),
  exercises: z.record(
    pairSchema,
    z
      .object({
        attempts: count,
        passedAtMs: timeMs.exactOptional(),
        lastAtMs: timeMs,
        last: resultSchema,
      })
      .refine(({ passedAtMs, last }) => passedAtMs !== undefined || last.status !== "passed", {
        error: "an exercise that passed has a time when it did",
      }),
  ),
});

/** The file's content, and the name that it is saved under. */
export function progressFile(progress: Progress): { readonly name: string; readonly text: string } {
  const now = new Date();
  const content = { format: FORMAT, version: VERSION, exportedAtMs: now.getTime(), ...progress };
  return {
    name: `${FORMAT}-${now.toISOString().slice(0, 10)}.json`,
    text: `${JSON.stringify(content, null, 2)}\n`,
  };
}

const refuse = (message: string) =>
  new ApiError(
    400,
    "progress-invalid",
    message,
    "Choose a file that “Save as a file” of this course has made, unchanged.",
  );

/** Reads a file's content. Throws `ApiError` 400 that says what is wrong with it. */
export function parseProgressFile(content: string): Progress {
  let read: unknown;
  try {
    read = JSON.parse(content);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw refuse("The file is no JSON.");
  }
  const about = z.object({ format: z.literal(FORMAT), version: z.int() }).safeParse(read);
  if (about.data !== undefined && about.data.version > VERSION) {
    throw new ApiError(
      400,
      "progress-newer",
      `The file was written by a newer Patchbay (version ${about.data.version}; this one reads up to ${VERSION}).`,
      "Import it there, or bring this course server up to date.",
    );
  }
  for (const [part, quota] of Object.entries(progressQuota)) {
    const entries = (read as Record<string, unknown> | null)?.[part];
    if (typeof entries === "object" && Object.keys(entries ?? {}).length > quota) {
      throw refuse(`The file has more than ${quota} ${part}.`);
    }
  }
  const parsed = fileSchema.safeParse(read);
  if (!parsed.success) {
    const { issues } = parsed.error;
    const told = issues.slice(0, ISSUES_TOLD).map((issue) => {
      const place = issue.path.map((part) => String(part).slice(0, 64)).join(".") || "the file";
      const [key] = issue.code === "invalid_key" ? issue.issues : [];
      return `${place}: ${(key ?? issue).message}`;
    });
    const more = issues.length - told.length;
    throw refuse(`The file can't be read: ${told.join("; ")}${more > 0 ? `; ${more} more` : ""}.`);
  }
  const { lessons, quizzes, exercises } = parsed.data;
  for (const [id, { last }] of Object.entries(exercises)) {
    if (last.exercise !== id)
      throw refuse(`The file has a result of ${last.exercise} under ${id}.`);
  }
  return { lessons, quizzes, exercises };
}

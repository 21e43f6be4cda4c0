import { z } from "zod";
import { ApiError } from "../errors.ts";
import { answerSchema, nameSchema, parseProgressFile, progressFile } from "../progress-file.ts";
import { RateLimit } from "../rate-limit.ts";
import { type Api, type ApiServices, bodyOf } from "./api.ts";

const lessonRequest = z.object({ read: z.boolean() });
const quizRequest = z.object({ answer: answerSchema, right: z.boolean() });

function named(...names: readonly string[]): string {
  for (const name of names) {
    if (!nameSchema.safeParse(name).success) {
      throw new ApiError(404, "not-found", `"${name.slice(0, 64)}" names nothing in this course.`);
    }
  }
  return names.join("/");
}

/** What the session's student has done: told, written down, exported, imported. */
export function addProgressRoutes(api: Api, { progress }: Pick<ApiServices, "progress">): void {
  // A big file keeps the server busy for some milliseconds.
  const imports = new RateLimit(0.2, 5);

  api.get("/progress", (context) => context.json(progress.of(context.var.session)));

  api.put("/progress/lessons/:lesson", async (context) => {
    const lesson = named(context.req.param("lesson"));
    const { read } = await bodyOf(context.req, lessonRequest);
    progress.setRead(context.var.session, lesson, read);
    return context.body(null, 204);
  });

  api.put("/progress/quizzes/:lesson/:question", async (context) => {
    const quiz = named(context.req.param("lesson"), context.req.param("question"));
    const answered = await bodyOf(context.req, quizRequest);
    return context.json(progress.answerQuiz(context.var.session, quiz, answered));
  });

  api.get("/progress/attempts/:lesson/:name", (context) => {
    const exercise = named(context.req.param("lesson"), context.req.param("name"));
    return context.json(progress.attempts(context.var.session, exercise));
  });

  api.get("/progress/export", (context) => {
    const { name, text } = progressFile(progress.of(context.var.session));
    context.header("content-disposition", `attachment; filename="${name}"`);
    return context.body(text, 200, { "content-type": "application/json" });
  });

  api.post("/progress/import", async (context) => {
    if (!imports.take(context.var.session)) {
      throw new ApiError(
        429,
        "too-many-requests",
        "Too many imports at once.",
        "Wait some seconds.",
      );
    }
    const other = parseProgressFile(await context.req.text());
    return context.json(progress.merge(context.var.session, other));
  });
}

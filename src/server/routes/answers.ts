import { z } from "zod";
import type { LabHost } from "../../../sandbox/index.ts";
import { ANSWER_BYTES, readAnswer, writeAnswer } from "../answers.ts";
import { ApiError } from "../errors.ts";
import { type Api, type ApiServices, bodyOf } from "./api.ts";

const answerRequest = z.object({
  answer: z
    .string()
    .regex(/^\P{Cc}*$/u, "an answer is one line of text")
    .refine((text) => text.isWellFormed() && Buffer.byteLength(text) < ANSWER_BYTES, {
      error: `an answer has less than ${ANSWER_BYTES} bytes`,
    }),
});

/** Answers to exercises, as files of the lab. */
export function addAnswerRoutes(
  api: Api,
  { labs, exercises }: Pick<ApiServices, "labs" | "exercises">,
): void {
  /** The exercise's id, and the host that its answer lies on. */
  async function placeOf(
    session: string,
    params: { readonly lab: string; readonly lesson: string; readonly name: string },
  ): Promise<{ readonly exercise: string; readonly host: LabHost }> {
    const id = `${params.lesson}/${params.name}`;
    const lab = await labs.running(session, params.lab);
    const exercise = exercises.find((each) => each.id === id);
    if (exercise === undefined) {
      throw new ApiError(404, "exercise-not-found", `There is no exercise "${id.slice(0, 100)}".`);
    }
    if (lab.lab !== exercise.lab) {
      throw new ApiError(409, "other-lab", `${id} runs in a lab "${exercise.lab}".`);
    }
    return { exercise: id, host: lab.host() };
  }

  api.get("/labs/:lab/answers/:lesson/:name", async (context) => {
    const { exercise, host } = await placeOf(context.var.session, context.req.param());
    return context.json({ answer: await readAnswer(host, exercise) });
  });

  api.put("/labs/:lab/answers/:lesson/:name", async (context) => {
    const { answer } = await bodyOf(context.req, answerRequest);
    const { exercise, host } = await placeOf(context.var.session, context.req.param());
    await writeAnswer(host, exercise, answer.trim());
    return context.body(null, 204);
  });
}

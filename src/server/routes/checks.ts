import { stream } from "hono/streaming";
import { z } from "zod";
import { entryOf, exercises, gradeExercise } from "../../../graders/index.ts";
import { ApiError, apiErrorOf } from "../errors.ts";
import { type Api, type ApiServices, bodyOf } from "./api.ts";

const checkRequest = z.object({ exercise: z.string().max(128) });

/** Exercises, and their checks on labs of the session. */
export function addCheckRoutes(
  api: Api,
  { labs, progress, log }: Pick<ApiServices, "labs" | "progress" | "log">,
): void {
  /** Ids of labs that a check looks at right now. */
  const grading = new Set<string>();

  api.get("/exercises", (context) => context.json(exercises.map(entryOf)));

  api.post("/labs/:lab/checks", async (context) => {
    const { exercise: id } = await bodyOf(context.req, checkRequest);
    const exercise = exercises.find((candidate) => candidate.id === id);
    if (exercise === undefined) {
      throw new ApiError(404, "exercise-not-found", `There is no exercise "${id}".`);
    }
    const lab = await labs.running(context.var.session, context.req.param("lab"));
    if (lab.lab !== exercise.lab) {
      throw new ApiError(409, "other-lab", `${id} runs in a lab "${exercise.lab}".`);
    }
    if (grading.has(lab.id)) {
      throw new ApiError(409, "check-running", "A check of this lab runs already.", "Wait for it.");
    }
    grading.add(lab.id);
    context.header("content-type", "application/x-ndjson");
    return stream(context, async (output) => {
      const controller = new AbortController();
      output.onAbort(() => controller.abort(new Error("the page left")));
      const send = (line: object) => output.write(`${JSON.stringify(line)}\n`);
      try {
        const result = await gradeExercise(exercise, lab, {
          signal: controller.signal,
          onCheck: (check) => void send({ type: "check", check }),
        });
        progress.record(context.var.session, result);
        await send({ type: "result", result });
      } catch (error) {
        if (controller.signal.aborted) return;
        log(`check of ${exercise.id} on ${lab.id}: ${(error as Error).stack}`);
        const { code, message } = apiErrorOf(error);
        await send({ type: "error", error: { code, message } });
      } finally {
        grading.delete(lab.id);
      }
    });
  });
}

import { stream } from "hono/streaming";
import { z } from "zod";
import {
  type Exercise,
  type ExerciseResult,
  entryOf,
  gradeExercise,
} from "../../../graders/index.ts";
import type { LabSummary } from "../../../sandbox/index.ts";
import { ApiError, apiErrorOf } from "../errors.ts";
import { type Api, type ApiServices, bodyOf } from "./api.ts";

/** A stream that says nothing for so long says that it is there: proxies end what is silent. */
const ALIVE_MS = 15_000;

const checkRequest = z.object({ exercise: z.string().max(128) });

/** Exercises, and their checks on labs of the session. */
export function addCheckRoutes(
  api: Api,
  {
    labs,
    progress,
    exercises,
    watches,
    log,
  }: Pick<ApiServices, "labs" | "progress" | "exercises" | "watches" | "log">,
): void {
  /** Ids of labs that a check looks at right now. */
  const grading = new Set<string>();

  const named = (id: string): Exercise => {
    const exercise = exercises.find((candidate) => candidate.id === id);
    if (exercise !== undefined) return exercise;
    throw new ApiError(404, "exercise-not-found", `There is no exercise "${id}".`);
  };
  const refuseOther = (lab: LabSummary, { id, lab: wanted }: Exercise): void => {
    if (lab.lab !== wanted)
      throw new ApiError(409, "other-lab", `${id} runs in a lab "${wanted}".`);
  };

  api.get("/exercises", (context) => context.json(exercises.map(entryOf)));

  api.post("/labs/:lab/checks", async (context) => {
    const { exercise: id } = await bodyOf(context.req, checkRequest);
    const exercise = named(id);
    const lab = await labs.running(context.var.session, context.req.param("lab"));
    refuseOther(lab, exercise);
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
          onProgress: ({ id, text }) => void send({ type: "progress", check: id, text }),
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

  api.get("/labs/:lab/checks/:lesson/:name/watch", async (context) => {
    const { lab: labId, lesson, name } = context.req.param();
    const exercise = named(`${lesson}/${name}`);
    const lab = await labs.running(context.var.session, labId);
    refuseOther(lab, exercise);
    let news: ExerciseResult | undefined;
    let tell = () => {};
    const { session } = context.var;
    const stop = watches.follow(lab.id, exercise, (result) => {
      progress.observe(session, result);
      news = result;
      tell();
    });
    context.header("content-type", "application/x-ndjson");
    return stream(context, async (output) => {
      const send = (line: object) => output.write(`${JSON.stringify(line)}\n`);
      let sending = false;
      tell = async () => {
        if (sending) return;
        sending = true;
        // A page that reads slowly gets the last one.
        for (let result = news; result !== undefined; result = news) {
          news = undefined;
          await send({ type: "result", result });
        }
        sending = false;
      };
      const alive = setInterval(() => void send({ type: "alive" }), ALIVE_MS);
      try {
        const left = new Promise<void>((resolve) => output.onAbort(resolve));
        await send({ type: "alive" });
        tell();
        await left;
      } finally {
        clearInterval(alive);
        stop();
      }
    });
  });
}

import { z } from "zod";
import { type Api, type ApiServices, bodyOf } from "./api.ts";

const labRequest = z.object({ lab: z.string().max(64) });

/** Labs of the session: opened, looked at, kept, reset. */
export function addLabRoutes(api: Api, { labs }: Pick<ApiServices, "labs">): void {
  api.post("/labs", async (context) => {
    const { lab } = await bodyOf(context.req, labRequest);
    const opened = await labs.open(context.var.session, lab);
    return context.json(opened, opened.state === "running" ? 200 : 202);
  });
  api.get("/labs/:lab", async (context) =>
    context.json(await labs.get(context.var.session, context.req.param("lab"))),
  );
  api.post("/labs/:lab/keep", async (context) =>
    context.json(await labs.keep(context.var.session, context.req.param("lab"))),
  );
  api.post("/labs/:lab/reset", async (context) =>
    context.json(await labs.reset(context.var.session, context.req.param("lab")), 202),
  );
}

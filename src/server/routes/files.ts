import { stream } from "hono/streaming";
import { z } from "zod";
import { apiErrorOf } from "../errors.ts";
import { FileWatches, saveFile, viewFile } from "../files.ts";
import { type Api, type ApiServices, bodyOf } from "./api.ts";

const saveRequest = z.object({
  /** Default: the lab's first host. */
  host: z.string().max(24).optional(),
  path: z.string(),
  text: z.string(),
  version: z.string().max(64).optional(),
});

/** Files of a lab: looked at, saved, watched. */
export function addFileRoutes(api: Api, { labs, log }: Pick<ApiServices, "labs" | "log">): void {
  const watches = new FileWatches();

  api.get("/labs/:lab/files", async (context) => {
    const { host, path = "/root" } = context.req.query();
    const machine = await labs.host(context.var.session, context.req.param("lab"), host);
    return context.json(await viewFile(machine, path));
  });

  api.put("/labs/:lab/files", async (context) => {
    const { host, ...file } = await bodyOf(context.req, saveRequest);
    const machine = await labs.host(context.var.session, context.req.param("lab"), host);
    return context.json(await saveFile(machine, file));
  });

  api.get("/labs/:lab/files/watch", async (context) => {
    const { host, path = "" } = context.req.query();
    const { session } = context.var;
    const lab = context.req.param("lab");
    const machine = await labs.host(session, lab, host);
    const controller = new AbortController();
    const news = watches.watch(session, machine, path, controller.signal);
    // What stands in the way at once is an answer; later it ends the stream.
    const first = await news.next();
    context.header("content-type", "application/x-ndjson");
    return stream(context, async (output) => {
      output.onAbort(() => controller.abort());
      const send = (line: object) => output.write(`${JSON.stringify(line)}\n`);
      try {
        if (!first.done) await send(first.value);
        for await (const line of news) await send(line);
      } catch (error) {
        if (controller.signal.aborted) return;
        const { code, status } = apiErrorOf(error);
        if (status >= 500) log(`watch of ${path} on ${lab}: ${(error as Error).message} (${code})`);
      } finally {
        controller.abort();
        await news.return(undefined);
      }
    });
  });
}

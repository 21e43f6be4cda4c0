import { z } from "zod";
import { type Api, type ApiServices, bodyOf } from "./api.ts";

const terminalRequest = z.object({ columns: z.number(), rows: z.number() });

/** Terminals of a lab: listed, opened, closed. `upgrades.ts` connects to them. */
export function addTerminalRoutes(
  api: Api,
  { labs, terminals }: Pick<ApiServices, "labs" | "terminals">,
): void {
  api.get("/labs/:lab/terminals", async (context) => {
    const { id } = await labs.get(context.var.session, context.req.param("lab"));
    const open = await terminals.list(id);
    return context.json(open.map((terminal) => ({ id: terminal.id, title: terminal.title })));
  });
  api.post("/labs/:lab/terminals", async (context) => {
    const size = await bodyOf(context.req, terminalRequest);
    const labId = context.req.param("lab");
    const host = await labs.host(context.var.session, labId);
    const { id, title } = await terminals.open(
      labId,
      (terminalId) => host.shellCommand({ terminalId }),
      size,
    );
    return context.json({ id, title }, 201);
  });
  api.delete("/labs/:lab/terminals/:terminal", async (context) => {
    const { lab, terminal } = context.req.param();
    const host = await labs.host(context.var.session, lab);
    await terminals.close(lab, terminal);
    await host.endShell(terminal);
    return context.body(null, 204);
  });
}

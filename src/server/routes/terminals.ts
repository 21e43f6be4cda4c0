import { z } from "zod";
import { maxTitleLength, type TerminalInfo } from "../../terminal/server/index.ts";
import { type Api, type ApiServices, bodyOf } from "./api.ts";

const terminalRequest = z.object({
  columns: z.number(),
  rows: z.number(),
  /** Default: the lab's first host. */
  host: z.string().max(24).optional(),
  /** What a lesson calls it; the terminal of that name where one is open. */
  name: z.string().max(24).optional(),
});
const renameRequest = z.object({ title: z.string().max(maxTitleLength) });

/** A terminal as the page sees it. */
export type TerminalEntry = Omit<TerminalInfo, "columns" | "rows" | "exited">;

function entryOf({ id, number, host, name, title }: TerminalInfo): TerminalEntry {
  return {
    ...{ id, number, host },
    ...(name !== undefined && { name }),
    ...(title !== undefined && { title }),
  };
}

/** Terminals of a lab: listed, opened, renamed, closed. `upgrades.ts` connects to them. */
export function addTerminalRoutes(
  api: Api,
  { labs, terminals }: Pick<ApiServices, "labs" | "terminals">,
): void {
  api.get("/labs/:lab/terminals", async (context) => {
    const { id } = await labs.get(context.var.session, context.req.param("lab"));
    const open = await terminals.list(id);
    return context.json(open.map(entryOf));
  });
  api.post("/labs/:lab/terminals", async (context) => {
    const { host: hostName, name, ...size } = await bodyOf(context.req, terminalRequest);
    const labId = context.req.param("lab");
    const host = await labs.host(context.var.session, labId, hostName);
    const opened = await terminals.open(
      labId,
      (terminalId) => host.shellCommand({ terminalId }),
      size,
      { host: host.name, ...(name !== undefined && { name }) },
    );
    return context.json(entryOf(opened), 201);
  });
  api.patch("/labs/:lab/terminals/:terminal", async (context) => {
    const { lab, terminal } = context.req.param();
    const { title } = await bodyOf(context.req, renameRequest);
    await labs.get(context.var.session, lab);
    return context.json(entryOf(await terminals.rename(lab, terminal, title)));
  });
  api.delete("/labs/:lab/terminals/:terminal", async (context) => {
    const { lab, terminal } = context.req.param();
    const running = await labs.running(context.var.session, lab);
    const place = (await terminals.list(lab)).find(({ id }) => id === terminal);
    await terminals.close(lab, terminal);
    await running.host(place?.host).endShell(terminal);
    return context.body(null, 204);
  });
}

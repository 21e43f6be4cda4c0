import { z } from "zod";
import { languages } from "../../i18n/language.ts";
import { type Api, type ApiServices, bodyOf } from "./api.ts";

const portRequest = z.object({
  /** Default: the lab's first host. */
  host: z.string().max(32).optional(),
  port: z.int().min(1).max(65_535),
  path: z.string().max(2000).default("/"),
  /** Of what the link says where the lab does not answer. */
  language: z.enum(languages).default("en"),
});

/** Links to ports of a lab: each is opened with an address that works once. */
export function addPortRoutes(api: Api, { ports }: Pick<ApiServices, "ports">): void {
  api.post("/labs/:lab/ports", async (context) => {
    const request = await bodyOf(context.req, portRequest);
    const url = await ports.open({
      ...request,
      sessionId: context.var.session,
      labId: context.req.param("lab"),
      askedHost: context.req.header("host") ?? "",
    });
    return context.json({ url }, 201);
  });
}

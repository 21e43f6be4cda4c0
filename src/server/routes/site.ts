import { serveStatic } from "@hono/node-server/serve-static";
import type { Hono } from "hono";
import { compress } from "hono/compress";
import { etag, RETAINED_304_HEADERS } from "hono/etag";
import { attempt } from "../database.ts";
import type { AllowedNames } from "../origin.ts";
import { RateLimit } from "../rate-limit.ts";
import type { SessionCookie } from "../session-cookie.ts";
import type { SessionStore } from "../sessions.ts";
import { withAddress } from "../site-address.ts";
import type { ApiEnvironment, ApiServices } from "./api.ts";

/** The built pages. A document gives a session to whoever has none; nothing else does. */
export function addSiteRoutes(
  app: Hono<ApiEnvironment>,
  options: Pick<ApiServices, "log"> & {
    readonly sessions: SessionStore;
    readonly cookie: SessionCookie;
    readonly names: AllowedNames;
    readonly siteDir: string;
  },
): void {
  const { sessions, cookie, names, siteDir, log } = options;
  const newSessions = new RateLimit(2, 100);

  /** The token to set as a cookie: a new one, or that which is there where its time begins anew. */
  function tokenFor(header: string | undefined, address: string): string | undefined {
    if (cookie.isAmbiguous(header)) return undefined;
    const known = cookie.sessionOf(header);
    if (known !== undefined) return sessions.see(known.id) ? known.token : undefined;
    return newSessions.take(address) ? sessions.create().token : undefined;
  }

  app.get("/csp.json", (context) => context.notFound());
  // A page that did not change is not sent again.
  app.use(etag({ weak: true, retainedHeaders: [...RETAINED_304_HEADERS, "set-cookie"] }));
  app.use(compress());
  app.use(async (context, next) => {
    await next();
    if (!context.res.headers.get("content-type")?.startsWith("text/html")) return;
    const known = context.req.header("cookie");
    const address = context.env.incoming.socket.remoteAddress ?? "";
    // A page can be read though nobody is known.
    const token = attempt(log, "session", () => tokenFor(known, address));
    if (token !== undefined) {
      context.header("set-cookie", cookie.header(token), { append: true });
    }
  });
  app.use(async (context, next) => {
    await next();
    const { pathname, search } = new URL(context.req.url);
    const { status, headers } = context.res;
    const isPage = headers.get("content-type")?.startsWith("text/html");
    if (isPage && status === 200 && !/\/$|\.html$/.test(pathname)) {
      // Addresses of pages end with a slash, and relative links in them count on it.
      const kept = new Headers(headers);
      for (const name of ["content-type", "content-length", "last-modified"]) kept.delete(name);
      kept.set("location", `${pathname}/${search}`);
      context.res = undefined;
      context.res = new Response(null, { status: 301, headers: kept });
    }
    // Names under _astro/ carry a hash of their content; with a page comes a session.
    const forever = status === 200 && pathname.startsWith("/_astro/");
    context.header(
      "cache-control",
      forever ? "public, max-age=31536000, immutable" : "private, no-cache",
    );
  });
  app.use(async (context, next) => {
    await next();
    const host = context.req.header("host")?.toLowerCase();
    const origin = [...names.origins].find((each) => new URL(each).host === host);
    if (context.req.method === "GET" && origin !== undefined) {
      const served = await withAddress(context.res, origin);
      if (served === context.res) return;
      // Else the length of what it was before would be kept.
      context.res = undefined;
      context.res = served;
    }
  });
  app.use(serveStatic({ root: siteDir }));
  app.notFound(async (context) => {
    const path = context.req.path.startsWith("/ru/") ? "ru/404/index.html" : "404.html";
    const page = serveStatic<ApiEnvironment>({ root: siteDir, path });
    const response = await page(context, async () => undefined);
    return response === undefined
      ? context.text("Not found", 404)
      : new Response(response.body, { status: 404, headers: response.headers });
  });
}

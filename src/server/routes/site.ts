import { serveStatic } from "@hono/node-server/serve-static";
import type { Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { RateLimit } from "../rate-limit.ts";
import { type SessionStore, sessionCookie } from "../sessions.ts";
import type { ApiEnvironment } from "./api.ts";

const SESSION_AGE_SECONDS = 90 * 24 * 3600;

/** The built pages. A document gives a session to whoever has none; nothing else does. */
export function addSiteRoutes(
  app: Hono<ApiEnvironment>,
  options: { readonly sessions: SessionStore; readonly siteDir: string; readonly secure: boolean },
): void {
  const { sessions, siteDir, secure } = options;
  const newSessions = new RateLimit(5, 50);

  app.get("/csp.json", (context) => context.notFound());
  app.use(async (context, next) => {
    await next();
    if (!context.res.headers.get("content-type")?.startsWith("text/html")) return;
    if (sessions.find(getCookie(context, sessionCookie) ?? "") !== undefined) return;
    const address = context.env.incoming.socket.remoteAddress ?? "";
    if (!newSessions.take(address)) return;
    setCookie(context, sessionCookie, sessions.create().token, {
      httpOnly: true,
      sameSite: "Strict",
      path: "/",
      secure,
      maxAge: SESSION_AGE_SECONDS,
    });
  });
  app.use(
    serveStatic({
      root: siteDir,
      onFound: (path, context) => {
        // Names under _astro/ carry a hash of their content.
        const forever = path.includes("/_astro/");
        context.header(
          "cache-control",
          forever ? "public, max-age=31536000, immutable" : "no-cache",
        );
      },
    }),
  );
  app.notFound(async (context) => {
    const page = serveStatic<ApiEnvironment>({ root: siteDir, path: "404.html" });
    const response = await page(context, async () => undefined);
    return response === undefined
      ? context.text("Not found", 404)
      : new Response(response.body, { status: 404, headers: response.headers });
  });
}

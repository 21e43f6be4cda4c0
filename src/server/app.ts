import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { attempt } from "./database.ts";
import { ApiError, apiErrorOf } from "./errors.ts";
import { FILE_BODY_BYTES } from "./files.ts";
import { type AllowedNames, isOwnOrigin } from "./origin.ts";
import { PROGRESS_FILE_BYTES } from "./progress-file.ts";
import { RateLimit } from "./rate-limit.ts";
import { addAnswerRoutes } from "./routes/answers.ts";
import type { ApiEnvironment, ApiServices } from "./routes/api.ts";
import { addCheckRoutes } from "./routes/checks.ts";
import { addFileRoutes } from "./routes/files.ts";
import { addLabRoutes } from "./routes/labs.ts";
import { addPortRoutes } from "./routes/ports.ts";
import { addProgressRoutes } from "./routes/progress.ts";
import { addSiteRoutes } from "./routes/site.ts";
import { addTerminalRoutes } from "./routes/terminals.ts";
import { securityHeaders } from "./security-headers.ts";
import type { SessionCookie } from "./session-cookie.ts";
import type { SessionStore } from "./sessions.ts";

const BODY_LIMIT_BYTES = 16 * 1024;
/** Of paths whose bodies may be bigger. */
const bodyLimits: readonly { readonly path: RegExp; readonly bytes: number }[] = [
  { path: /^\/api\/progress\/import$/, bytes: PROGRESS_FILE_BYTES },
  { path: /^\/api\/labs\/[^/]+\/files$/, bytes: FILE_BODY_BYTES },
];

export interface AppOptions extends ApiServices {
  readonly sessions: SessionStore;
  readonly cookie: SessionCookie;
  readonly names: AllowedNames;
  /** The built site. */
  readonly siteDir: string;
}

/** The HTTP side of the course: the built site, sessions, and the API that the pages use. */
export function createApp(options: AppOptions): Hono<ApiEnvironment> {
  const { sessions, cookie, names, log } = options;
  const headers = securityHeaders(options.siteDir);
  const changes = new RateLimit(10, 40);
  const looks = new RateLimit(30, 150);
  const app = new Hono<ApiEnvironment>();

  app.onError((error, context) => {
    const answer = apiErrorOf(error);
    if (answer.status >= 500 && !(error instanceof ApiError)) {
      log(`${context.req.method} ${context.req.path}: ${error.stack ?? error.message}`);
    }
    if (answer.code === "session-ambiguous") {
      const { hostname, pathname } = new URL(context.req.url);
      for (const removal of cookie.removals(pathname, hostname)) {
        context.header("set-cookie", removal, { append: true });
      }
    }
    return context.json(answer.toJSON(), answer.status);
  });

  app.use(async (context, next) => {
    for (const [name, value] of Object.entries(headers)) context.header(name, value);
    const host = context.req.header("host")?.toLowerCase();
    if (host === undefined || !names.hosts.has(host)) {
      throw new ApiError(
        421,
        "host-unknown",
        `This server is not called "${host ?? ""}".`,
        "Open it by the address that it printed when it started, or give it that name with --public-url.",
      );
    }
    const { method } = context.req;
    if (method !== "GET" && method !== "HEAD") {
      const origin = context.req.header("origin");
      if (!isOwnOrigin(names, { origin, host })) {
        throw new ApiError(403, "origin-refused", "Only pages of this course may ask for that.");
      }
    }
    await next();
  });

  app.get("/healthz", (context) => context.json({ ok: true }));

  const api = new Hono<ApiEnvironment>();
  api.use((context, next) => {
    const special = bodyLimits.find(({ path }) => path.test(context.req.path));
    const maxSize = special?.bytes ?? BODY_LIMIT_BYTES;
    const onError = () => {
      throw new ApiError(413, "body-too-big", `This request has at most ${maxSize} bytes.`);
    };
    // Before anything takes hold of the body: what nobody reads of it can then be skipped.
    if (Number(context.req.header("content-length") ?? 0) > maxSize) onError();
    return bodyLimit({ maxSize, onError })(context, next);
  });
  api.use(async (context, next) => {
    // A stream that nobody reads would never end.
    if (context.req.method === "HEAD") {
      throw new ApiError(405, "method-refused", "The API answers no HEAD.", "Use GET.");
    }
    // Reading is refused to other origins by headers of the answer; here they may not even cause work.
    const site = context.req.header("sec-fetch-site");
    if (site !== undefined && site !== "same-origin" && site !== "none") {
      throw new ApiError(403, "origin-refused", "Only pages of this course may ask for that.");
    }
    const session = cookie.sessionOf(context.req.header("cookie"))?.id;
    if (session === undefined) {
      throw new ApiError(401, "no-session", "There is no session.", "Reload the page.");
    }
    const limit = context.req.method === "GET" ? looks : changes;
    if (!limit.take(session)) {
      throw new ApiError(429, "too-many-requests", "Too many requests at once.", "Wait a moment.");
    }
    if (context.req.method !== "GET") {
      const type = context.req.header("content-type") ?? "";
      const hasBody = ["POST", "PUT", "PATCH"].includes(context.req.method);
      if (hasBody && !/^application\/json\b/.test(type)) {
        throw new ApiError(415, "not-json", "The body must be application/json.");
      }
    }
    context.set("session", session);
    attempt(log, "session", () => sessions.see(session));
    context.header("cache-control", "no-store");
    await next();
  });
  addLabRoutes(api, options);
  addTerminalRoutes(api, options);
  addCheckRoutes(api, options);
  addAnswerRoutes(api, options);
  addProgressRoutes(api, options);
  addPortRoutes(api, options);
  addFileRoutes(api, options);
  api.all("*", () => {
    throw new ApiError(404, "not-found", "The API has no such path.");
  });
  app.route("/api", api);

  addSiteRoutes(app, options);
  return app;
}

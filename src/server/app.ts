import type { HttpBindings } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { getCookie, setCookie } from "hono/cookie";
import { stream } from "hono/streaming";
import { z } from "zod";
import { entryOf, exercises, gradeExercise } from "../../graders/index.ts";
import type { TerminalGateway } from "../terminal/server/index.ts";
import { ApiError, apiErrorOf } from "./errors.ts";
import type { LabService } from "./labs.ts";
import { type AllowedNames, isOwnOrigin } from "./origin.ts";
import { RateLimit } from "./rate-limit.ts";
import { securityHeaders } from "./security-headers.ts";
import type { SessionStore } from "./sessions.ts";

export const sessionCookie = "patchbay_session";
const BODY_LIMIT_BYTES = 16 * 1024;
const SESSION_AGE_SECONDS = 90 * 24 * 3600;

export interface AppOptions {
  readonly sessions: SessionStore;
  readonly labs: LabService;
  readonly terminals: TerminalGateway;
  readonly names: AllowedNames;
  /** The built site. */
  readonly siteDir: string;
  /** Whether browsers reach this server by https. */
  readonly secure: boolean;
  readonly log: (message: string) => void;
}

interface Environment {
  Bindings: HttpBindings;
  Variables: { session: string };
}

const labRequest = z.object({ lab: z.string().max(64) });
const terminalRequest = z.object({ columns: z.number(), rows: z.number() });
const checkRequest = z.object({ exercise: z.string().max(128) });

async function bodyOf<T>(request: { text(): Promise<string> }, schema: z.ZodType<T>): Promise<T> {
  let body: unknown;
  try {
    body = JSON.parse(await request.text());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ApiError(400, "body-invalid", "The body is no JSON.");
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new ApiError(400, "body-invalid", z.prettifyError(parsed.error));
}

/** The HTTP side of the course: the built site, sessions, and the API that the pages use. */
export function createApp(options: AppOptions): Hono<Environment> {
  const { sessions, labs, terminals, names, log } = options;
  const headers = securityHeaders(options.siteDir);
  const changes = new RateLimit(10, 40);
  const newSessions = new RateLimit(5, 50);
  const grading = new Set<string>();
  const app = new Hono<Environment>();

  app.onError((error, context) => {
    const answer = apiErrorOf(error);
    if (answer.status >= 500 && !(error instanceof ApiError)) {
      log(`${context.req.method} ${context.req.path}: ${error.stack ?? error.message}`);
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

  const api = new Hono<Environment>();
  api.use(
    bodyLimit({
      maxSize: BODY_LIMIT_BYTES,
      onError: () => {
        throw new ApiError(413, "body-too-big", `A request has at most ${BODY_LIMIT_BYTES} bytes.`);
      },
    }),
  );
  api.use(async (context, next) => {
    const session = sessions.find(getCookie(context, sessionCookie) ?? "");
    if (session === undefined) {
      throw new ApiError(401, "no-session", "There is no session.", "Reload the page.");
    }
    if (context.req.method !== "GET") {
      if (!changes.take(session)) {
        throw new ApiError(
          429,
          "too-many-requests",
          "Too many requests at once.",
          "Wait a moment.",
        );
      }
      const type = context.req.header("content-type") ?? "";
      if (context.req.method === "POST" && !/^application\/json\b/.test(type)) {
        throw new ApiError(415, "not-json", "The body must be application/json.");
      }
    }
    context.set("session", session);
    context.header("cache-control", "no-store");
    await next();
  });

  api.get("/exercises", (context) => context.json(exercises.map(entryOf)));

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

  api.all("*", () => {
    throw new ApiError(404, "not-found", "The API has no such path.");
  });
  app.route("/api", api);

  app.get("/csp.json", (context) => context.notFound());

  // Documents give a session where there is none; nothing else does.
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
      secure: options.secure,
      maxAge: SESSION_AGE_SECONDS,
    });
  });
  app.use(
    serveStatic({
      root: options.siteDir,
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
    const page = serveStatic<Environment>({ root: options.siteDir, path: "404.html" });
    const response = await page(context, async () => undefined);
    return response === undefined
      ? context.text("Not found", 404)
      : new Response(response.body, { status: 404, headers: response.headers });
  });
  return app;
}

/** The built pages as a browser gets them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { Hono } from "hono";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDatabase } from "../../../src/server/database.ts";
import { allowedNames } from "../../../src/server/origin.ts";
import type { ApiEnvironment } from "../../../src/server/routes/api.ts";
import { addSiteRoutes } from "../../../src/server/routes/site.ts";
import { SessionCookie } from "../../../src/server/session-cookie.ts";
import { SessionStore } from "../../../src/server/sessions.ts";

let folder: string;
let database: DatabaseSync;
let app: Hono<ApiEnvironment>;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pb-"));
  const pages = {
    "index.html": "<!doctype html><title>Course</title>",
    "veth/index.html": `<!doctype html><title>veth</title>${"x".repeat(5000)}`,
    "404.html": "<!doctype html><title>Lost</title>",
    "ru/404/index.html": "<!doctype html><title>Потеряно</title>",
    "_astro/code.abc123.js": "export const text = 1;\n".repeat(200),
    "csp.json": "{}",
  };
  for (const [path, text] of Object.entries(pages)) {
    mkdirSync(join(folder, "site", path, ".."), { recursive: true });
    writeFileSync(join(folder, "site", path), text);
  }
  database = openDatabase(join(folder, "state"));
  const sessions = new SessionStore(database);
  app = new Hono<ApiEnvironment>();
  addSiteRoutes(app, {
    sessions,
    cookie: new SessionCookie(sessions, false),
    names: allowedNames("127.0.0.1", 4321),
    siteDir: join(folder, "site"),
    log: (message) => expect.fail(message),
  });
});

afterAll(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (path: string, headers: Record<string, string> = {}) =>
  app.request(
    `http://127.0.0.1:4321${path}`,
    { headers: { host: "127.0.0.1:4321", ...headers } },
    { incoming: { socket: { remoteAddress: "127.0.0.1" } } },
  );

test("sends a page compressed, and not again while it is the same", async () => {
  const gzip = { "accept-encoding": "gzip" };
  const page = await ask("/veth/", gzip);
  expect(page.status).toBe(200);
  expect(page.headers.get("content-encoding")).toBe("gzip");
  expect(page.headers.get("cache-control")).toBe("private, no-cache");
  expect((await page.arrayBuffer()).byteLength).toBeLessThan(500);
  const tag = page.headers.get("etag") ?? "";
  const cookie = page.headers.get("set-cookie")?.split(";")[0] ?? "";
  const again = await ask("/veth/", { ...gzip, cookie, "if-none-match": tag });
  expect([again.status, await again.text()]).toEqual([304, ""]);
  expect(again.headers.get("set-cookie")).toBeNull();
  writeFileSync(join(folder, "site", "veth", "index.html"), "<!doctype html><title>new</title>");
  const changed = await ask("/veth/", { ...gzip, cookie, "if-none-match": tag });
  expect(changed.status).toBe(200);
});

test("gives a session with a document that the browser knows already, too", async () => {
  const tag = (await ask("/")).headers.get("etag") ?? "";
  const known = await ask("/", { "if-none-match": tag });
  expect(known.status).toBe(304);
  expect(known.headers.get("set-cookie")).toMatch(/^patchbay_session=/);
});

test("leads an address of a page without its slash to the page", async () => {
  const bare = await ask("/veth?print=1");
  expect([bare.status, bare.headers.get("location")]).toEqual([301, "/veth/?print=1"]);
  expect((await ask("//evil.example")).status).toBe(404);
  expect((await ask("/veth/index.html")).status).toBe(200);
});

test("says in the page's language that there is none, and is no one else's to keep", async () => {
  const lost = await ask("/nowhere/");
  expect([lost.status, await lost.text()]).toEqual([404, expect.stringContaining("Lost")]);
  expect(lost.headers.get("cache-control")).toBe("private, no-cache");
  const russian = await ask("/ru/nowhere/");
  expect([russian.status, await russian.text()]).toEqual([
    404,
    expect.stringContaining("Потеряно"),
  ]);
  expect((await ask("/csp.json")).status).toBe(404);
});

test("lets browsers keep what its name tells apart, without a session", async () => {
  const code = await ask("/_astro/code.abc123.js", { "accept-encoding": "gzip" });
  expect(code.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
  expect(code.headers.get("content-encoding")).toBe("gzip");
  expect(code.headers.get("set-cookie")).toBeNull();
});

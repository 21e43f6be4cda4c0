/** Links to ports of labs, without a lab: tickets that are late, and what changes behind a proxy with https. */
import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import {
  CookieLedger,
  requestHeaders,
  responseHeaders,
} from "../../../src/server/ports/headers.ts";
import { linkPath, PortLink } from "../../../src/server/ports/link.ts";

const open: AsyncDisposable[] = [];
let application: Server | undefined;

afterEach(async () => {
  vi.restoreAllMocks();
  for (const each of open.splice(0)) await each[Symbol.asyncDispose]();
  application?.closeAllConnections();
  application?.close();
});

async function linked(
  secure: boolean,
): Promise<{ readonly link: PortLink; readonly port: number }> {
  application = createServer(({ headers }, response) => {
    response.setHeader("location", `http://${headers.host}/next`);
    response.end(JSON.stringify(headers));
  });
  await new Promise<void>((resolve) => application?.listen(0, "127.0.0.1", resolve));
  const { port: behind } = application.address() as AddressInfo;
  const link = new PortLink({
    host: "host1",
    port: 8080,
    names: (listening) => new Set([`p${listening}.labs.example.org`]),
    secure,
    connect: async () => connect(behind, "127.0.0.1"),
    problemOf: () => "closed",
    onUse: () => undefined,
    log: (message) => expect.fail(message),
  });
  open.push(link);
  return { link, port: await link.listen(["127.0.0.1"], 0) };
}

/** As a proxy asks, that ends https and passes the name on. */
function ask(port: number, path: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; headers: Record<string, unknown>; text: string }>(
    (resolve, reject) => {
      const host = `p${port}.labs.example.org`;
      const options = { host: "127.0.0.1", port, path, headers: { host, ...headers } };
      request(options, async (response) => {
        const text = (await response.toArray()).join("");
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      })
        .on("error", reject)
        .end();
    },
  );
}

test("a ticket opens once, and only within a minute", async () => {
  const { link, port } = await linked(false);
  const [early, late] = [link.issue("/a"), link.issue("/b")];
  expect((await ask(port, early)).status).toBe(303);
  expect((await ask(port, early)).status).toBe(403);
  const now = performance.now();
  vi.spyOn(performance, "now").mockReturnValue(now + 61_000);
  expect((await ask(port, late)).status).toBe(403);
  vi.restoreAllMocks();
  // It was used up by being late.
  expect((await ask(port, late)).status).toBe(403);
});

test("keeps few tickets, and forgets the oldest", async () => {
  const { link, port } = await linked(false);
  const tickets = Array.from({ length: 21 }, (_, number) => link.issue(`/${number}`));
  expect((await ask(port, tickets[0] ?? "")).status).toBe(403);
  expect((await ask(port, tickets[20] ?? "")).headers["location"]).toBe("/20");
});

test("behind https, the cookie is secure, and the lab believes to be visited by plain HTTP", async () => {
  const { link, port } = await linked(true);
  const host = `p${port}.labs.example.org`;
  const opened = await ask(port, link.issue("/"));
  const set = String(opened.headers["set-cookie"]);
  expect(set).toMatch(/; SameSite=Lax; Secure$/);
  const cookie = set.split(";")[0] ?? "";
  const own = { origin: `https://${host}`, referer: `https://${host}/login/` };
  const page = await ask(port, "/", { cookie, ...own });
  expect(page.status).toBe(200);
  expect(page.headers["location"]).toBe(`https://${host}/next`);
  const seen = JSON.parse(page.text);
  expect([seen.origin, seen.referer]).toEqual([`http://${host}`, `http://${host}/login/`]);
  expect(seen).not.toHaveProperty("cookie");
  expect((await ask(port, "/", { cookie, origin: `http://${host}` })).status).toBe(403);
});

test("takes a path of the link alone", () => {
  expect(linkPath("/a/../b?c=d#e")).toBe("/b?c=d#e");
  for (const path of [
    "//evil.example",
    "/\\evil.example",
    "/.//evil.example",
    "x",
    "http://x/",
    "",
  ]) {
    expect(() => linkPath(path)).toThrow(/begins with one slash/);
  }
});

test("gives back cookies by name and value, and of those the last ones", () => {
  const cookies = new CookieLedger();
  expect(cookies.give("a=1; Path=/; Domain=example.org; HttpOnly")).toBe("a=1; Path=/; HttpOnly");
  for (const bad of [
    "patchbay_session=x",
    "PATCHBAY_session=x",
    "__Host-patchbay_session=x; Secure; Path=/",
    "=x",
    "x",
    "a b=1",
    `big=${"x".repeat(5000)}`,
  ]) {
    expect(cookies.give(bad)).toBeUndefined();
  }
  expect(cookies.own("a=1; a=2; b=1;x; patchbay_session=x")).toBe("a=1");
  for (let number = 0; number < 500; number += 1) cookies.give(`c${number}=1`);
  expect(cookies.own("a=1; c0=1; c499=1")).toBe("c0=1; c499=1");
});

test("passes headers on in their order, but for those of the connection", () => {
  const own = { secure: false, host: "localhost:4400" };
  const sent = requestHeaders(
    ["Host", "localhost:4400", "Connection", "keep-alive, X-Mine", "X-Mine", "1", "Accept", "*/*"],
    { own, cookies: new CookieLedger() },
  );
  expect(sent).toEqual(["Host", "localhost:4400", "Accept", "*/*"]);
  const lab = { hostName: "host1", port: 8080 };
  const location = (to: string) =>
    responseHeaders(["Location", to], { own, lab, cookies: new CookieLedger() })[1];
  expect(location("/x")).toBe("/x");
  expect(location("http://localhost/x?y#z")).toBe("http://localhost:4400/x?y#z");
  expect(location("http://host1:8080/x")).toBe("http://localhost:4400/x");
  // Somewhere else stays somewhere else.
  expect(location("https://example.org/x")).toBe("https://example.org/x");
  expect(location("http://localhost:9999/x")).toBe("http://localhost:9999/x");
});

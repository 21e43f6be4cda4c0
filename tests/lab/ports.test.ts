/** Ports of a lab, opened through the course server: who gets in, what comes through, what never does. */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import type { LabHost } from "../../sandbox/index.ts";
import type { CourseClient } from "../fixtures/course-client.ts";
import { CourseServer } from "../fixtures/course-server.ts";

let server: CourseServer;
let student: CourseClient;
let labId: string;
let host: LabHost;
let browser: Browser;

beforeAll(async () => {
  server = await CourseServer.start();
  student = await server.student();
  labId = await student.runningLab();
  host = (await server.engine.find(labId)).host();
  const app = readFileSync(new URL("../fixtures/lab-app.py", import.meta.url), "utf8");
  const script = `cat > /root/app.py; docker run -d --name web -p 8080:80 nginx
    docker exec web mkdir -p /usr/share/nginx/html/folder
    docker exec web sh -c 'echo in the folder > /usr/share/nginx/html/folder/index.html'
    (setsid python3 /root/app.py 8000 >/root/app.log 2>&1 &)`;
  expect(await host.capture(["sh", "-c", script], { input: app })).toMatchObject({ exitCode: 0 });
  browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
}, 400_000);

afterAll(async () => {
  await browser?.close();
  await server?.[Symbol.asyncDispose]();
}, 60_000);

/** A link's address, as the page gets it. */
async function linkTo(port: number, more: object = {}, client = student): Promise<string> {
  const { status, body } = await client.ask("POST", `/api/labs/${labId}/ports`, { port, ...more });
  expect([status, body]).toEqual([201, { url: expect.any(String) }]);
  return body.url;
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** What a browser does that came in by a link. */
class Visitor {
  readonly cookies = new Map<string, string>();
  readonly origin: string;

  private constructor(origin: string) {
    this.origin = origin;
  }

  static async by(link: string): Promise<{ readonly visitor: Visitor; readonly first: Reply }> {
    const visitor = new Visitor(new URL(link).origin);
    const { pathname } = new URL(link);
    return { visitor, first: await visitor.ask("GET", pathname) };
  }

  get cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  ask(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string | Buffer,
  ): Promise<Reply> {
    const { host, port } = new URL(this.origin);
    const own = { host, cookie: this.cookie, ...(method === "POST" && { origin: this.origin }) };
    return new Promise((resolve, reject) => {
      // Whatever name the link has, it is this machine's.
      const options = { host: "127.0.0.1", port, method, path, headers: { ...own, ...headers } };
      httpRequest(options, async (response) => {
        for (const set of response.headers["set-cookie"] ?? []) {
          const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(set) ?? [];
          this.cookies.set(name, value);
        }
        const text = await response.toArray().catch((error) => {
          reject(error);
          return [];
        });
        const { statusCode: status = 0, headers: received } = response;
        resolve({ status, headers: received, text: text.join("") });
      })
        .on("error", reject)
        .end(body);
    });
  }
}

const visit = async (port: number, more: object = {}) =>
  (await Visitor.by(await linkTo(port, more))).visitor;

test("opens a published port by an address that works once, under another origin than the course's", async () => {
  const link = await linkTo(8080, { path: "/index.html?a=1#top" });
  expect(link).toMatch(/^http:\/\/localhost:\d+\/\.patchbay\/open\/[\w-]{43}$/);
  expect(new URL(link).host).not.toBe(new URL(server.url).host);
  const { visitor, first } = await Visitor.by(link);
  expect([first.status, first.headers.location]).toEqual([303, "/index.html?a=1#top"]);
  expect(first.headers["set-cookie"]?.[0]).toMatch(
    /^patchbay_port_\d+=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/,
  );
  expect(first.headers["referrer-policy"]).toBe("no-referrer");
  const page = await visitor.ask("GET", "/index.html?a=1");
  expect([page.status, page.text]).toEqual([200, expect.stringContaining("Welcome to nginx")]);
  // Known now; another visitor with the same address is not.
  const { first: second } = await Visitor.by(link);
  expect(second.status).toBe(403);
  expect(second.text).toContain("This address opens nothing by itself");
  // The same port is the same link.
  expect(new URL(await linkTo(8080)).origin).toBe(visitor.origin);
  const { first: other } = await Visitor.by(await linkTo(8000));
  expect(other.status).toBe(303);
});

test("lets nobody in without the cookie, by another name, or by a ticket that is late", async () => {
  const visitor = await visit(8080);
  expect((await fetch(visitor.origin)).status).toBe(403);
  const wrong = { cookie: `${[...visitor.cookies.keys()][0]}=${"x".repeat(43)}` };
  expect((await visitor.ask("GET", "/", wrong)).status).toBe(403);
  const course = { cookie: student.cookie };
  expect((await visitor.ask("GET", "/", course)).status).toBe(403);
  const { port } = new URL(visitor.origin);
  const status = async (host: string, path = "/") =>
    (await visitor.ask("GET", path, { host })).status;
  expect(await status(`localhost:${port}`)).toBe(200);
  expect(await status(`evil.example:${port}`)).toBe(421);
  expect(await status(new URL(server.url).host)).toBe(421);
  expect(await status(`localhost:${port}`, "http://evil.example/")).toBe(400);
  // A look at the address, as chat programs take it, does not use it up.
  const link = await linkTo(8080);
  expect((await fetch(link, { method: "HEAD" })).status).toBe(403);
  expect((await fetch(link, { redirect: "manual" })).status).toBe(303);
});

test("opens only ports of the session's own labs, and only for pages of the course", async () => {
  const path = `/api/labs/${labId}/ports`;
  const other = await server.student();
  expect((await other.ask("POST", path, { port: 8080 })).status).toBe(404);
  const evil = { origin: "http://evil.example" };
  expect((await student.ask("POST", path, { port: 8080 }, evil)).status).toBe(403);
  const link = { origin: (await visit(8080)).origin };
  expect((await student.ask("POST", path, { port: 8080 }, link)).status).toBe(403);
  expect((await student.ask("POST", path, { port: 8080 }, { cookie: "" })).status).toBe(401);
  const refused = async (body: object) => {
    const answer = await student.ask("POST", path, body);
    return [answer.status, answer.body.error.code];
  };
  for (const port of [0, 65_536, 1.5, "8080", null]) {
    expect(await refused({ port })).toEqual([400, "body-invalid"]);
  }
  for (const bad of ["//evil.example/", "http://evil.example/", "/\\evil.example", "login", ""]) {
    expect(await refused({ port: 8080, path: bad })).toEqual([400, "path-invalid"]);
  }
  expect(await refused({ port: 8080, host: "host9" })).toEqual([404, "host-not-found"]);
  expect(await refused({ port: 8080, path: `/${"x".repeat(3000)}` })).toEqual([
    400,
    "body-invalid",
  ]);
});

test("carries a login with CSRF protection, absolute redirects and cookies", async () => {
  const visitor = await visit(8000);
  const start = await visitor.ask("GET", "/");
  expect(start.headers.location).toBe(`${visitor.origin}/login/`);
  expect((await visitor.ask("GET", "/login/")).text).toContain("token-of-the-form");
  const form = { "content-type": "application/x-www-form-urlencoded" };
  const body = "csrf=token-of-the-form&user=ada";
  const forged = await visitor.ask("POST", "/login/", form, "csrf=other&user=ada");
  expect(forged.status).toBe(403);
  const logged = await visitor.ask("POST", "/login/", form, body);
  expect([logged.status, logged.headers.location]).toEqual([302, `${visitor.origin}/home/`]);
  expect((await visitor.ask("GET", "/home/")).text).toContain("Hello ada");
});

test("leads redirects to a folder back to the link, as nginx in a container can't", async () => {
  const visitor = await visit(8080);
  const folder = await visitor.ask("GET", "/folder");
  expect([folder.status, folder.headers.location]).toEqual([301, `${visitor.origin}/folder/`]);
  expect((await visitor.ask("GET", "/folder/")).text).toBe("in the folder\n");
});

test("shows the lab no cookie but those that it gave out, and nothing of the connection", async () => {
  const visitor = await visit(8000);
  await visitor.ask("GET", "/login/");
  visitor.cookies.set("patchbay_session", student.cookie.split("=")[1] ?? "");
  visitor.cookies.set("jupyter_token", "of another program on this machine");
  const more = { "x-own": "mine", connection: "x-hop", "x-hop": "1", "accept-language": "ru" };
  const [path, received] = JSON.parse((await visitor.ask("GET", "/echo?x=%20y", more)).text);
  expect(path).toBe("/echo?x=%20y");
  const sent = new Map<string, string>(
    received.map(([name, value]: [string, string]) => [name.toLowerCase(), value]),
  );
  expect(sent.get("cookie")).toBe("csrftoken=token-of-the-form");
  expect(sent.get("host")).toBe(new URL(visitor.origin).host);
  expect([sent.get("x-own"), sent.get("x-hop"), sent.get("accept-language")]).toEqual([
    "mine",
    undefined,
    "ru",
  ]);
});

test("hands on no header by which a lab would speak for the course", async () => {
  const visitor = await visit(8000);
  const { headers } = await visitor.ask("GET", "/evil");
  expect(headers["set-cookie"]).toEqual(["mine=1; Path=/"]);
  for (const name of ["clear-site-data", "strict-transport-security", "alt-svc"]) {
    expect(headers[name]).toBeUndefined();
  }
  expect(headers["x-own"]).toBe("kept");
});

test("refuses what pages of other origins ask for, unless they only lead here", async () => {
  const visitor = await visit(8000);
  const from = (site: string, mode: string) => ({ "sec-fetch-site": site, "sec-fetch-mode": mode });
  const status = async (method: string, headers: Record<string, string>) =>
    (await visitor.ask(method, "/echo", headers)).status;
  expect(await status("GET", from("same-origin", "cors"))).toBe(200);
  expect(await status("GET", from("cross-site", "navigate"))).toBe(200);
  expect(await status("GET", from("same-site", "no-cors"))).toBe(403);
  expect(await status("POST", from("cross-site", "navigate"))).toBe(403);
  expect(await status("GET", { origin: "http://evil.example" })).toBe(403);
  expect(await status("POST", { origin: new URL(server.url).origin })).toBe(403);
  // An upload with nothing that tells where it comes from.
  const { port } = new URL(visitor.origin);
  const bare = await new Promise((resolve) => {
    const headers = { host: `localhost:${port}`, cookie: visitor.cookie };
    const options = { host: "127.0.0.1", port, method: "POST", path: "/upload", headers };
    httpRequest(options, (response) => resolve(response.resume().statusCode)).end("x");
  });
  expect(bare).toBe(403);
});

test("carries streams as they come, uploads whole, and pages side by side", async () => {
  const visitor = await visit(8000);
  const { cookie } = visitor;
  const response = await fetch(`${visitor.origin}/stream`, { headers: { cookie } });
  const arrivals: number[] = [];
  for await (const chunk of response.body ?? []) {
    expect(Buffer.from(chunk).toString()).toMatch(/^data: \d/);
    arrivals.push(performance.now());
  }
  expect(arrivals).toHaveLength(3);
  expect((arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)).toBeGreaterThan(500);
  const bytes = randomBytes(5 << 20);
  const upload = await visitor.ask("POST", "/upload", {}, bytes);
  expect(upload.text).toBe(createHash("sha256").update(bytes).digest("hex"));
  const many = await Promise.all(Array.from({ length: 30 }, () => visitor.ask("GET", "/login/")));
  expect(new Set(many.map(({ status }) => status))).toEqual(new Set([200]));
});

test("carries WebSockets of its own pages, and counts them as use", async () => {
  const visitor = await visit(8000);
  const { cookie } = visitor;
  const open = (headers: Record<string, string>, path = "/socket") =>
    new Promise<WebSocket | number>((resolve) => {
      const socket = new WebSocket(`${visitor.origin.replace("http", "ws")}${path}`, { headers });
      socket.on("open", () => resolve(socket));
      socket.on("error", () => undefined);
      socket.on("upgrade", (response) => expect(response.headers["set-cookie"]).toBeUndefined());
      socket.on("unexpected-response", (_request, response) => resolve(response.statusCode ?? 0));
    });
  const own = { cookie, origin: visitor.origin };
  const socket = await open(own);
  if (typeof socket === "number") throw new Error(`It was refused with ${socket}.`);
  const echoed = new Promise((resolve) => socket.on("message", (data) => resolve(String(data))));
  socket.send("hello");
  expect(await echoed).toBe("hello");
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.close();
  await closed;
  expect(await open({ cookie, origin: "http://evil.example" })).toBe(403);
  expect(await open({ cookie, origin: new URL(server.url).origin })).toBe(403);
  expect(await open({ cookie })).toBe(403);
  expect(await open({ origin: visitor.origin })).toBe(403);
  expect(await open(own, "/nowhere")).toBe(404);
});

test("says in the student's language why nothing comes, and what to do", async () => {
  const english = await visit(8999);
  const closed = await english.ask("GET", "/");
  expect(closed.status).toBe(502);
  expect(closed.text).toContain("<h1>Nothing answers on port 8999 of host1</h1>");
  expect(closed.text).toContain("<code>docker ps</code>");
  expect(closed.headers["content-security-policy"]).toContain("default-src 'none'");
  const russian = await visit(8999, { language: "ru" });
  const page = (await russian.ask("GET", "/")).text;
  expect(page).toContain('<html lang="ru">');
  expect(page).toContain("На порту 8999 хоста host1 никто не отвечает");
  await host.capture(["iptables", "-I", "INPUT", "-p", "tcp", "--dport", "8998", "-j", "DROP"]);
  const silent = await (await visit(8998)).ask("GET", "/");
  expect([silent.status, silent.text]).toEqual([504, expect.stringContaining("No packet comes")]);
  const odd = await visit(8000);
  const broken = await odd.ask("GET", "/broken");
  expect([broken.status, broken.text]).toEqual([502, expect.stringContaining("speaks no HTTP")]);
  await expect(odd.ask("GET", "/half")).rejects.toThrow();
  // It listens for itself alone.
  await host.capture([
    "sh",
    "-c",
    "(setsid python3 -m http.server -b 127.0.0.1 8997 &) 2>/dev/null",
  ]);
  expect((await (await visit(8997)).ask("GET", "/")).status).toBe(502);
});

test("in a browser: a page of a lab logs in, and gets at nothing of the course", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(server.url);
  const [name = "", value = ""] = student.cookie.split("=");
  await context.addCookies([{ name, value, url: server.url, httpOnly: true, sameSite: "Strict" }]);
  const opened = context.waitForEvent("page");
  // As a link of the lesson does.
  await page.evaluate(async (lab) => {
    const tab = window.open("about:blank", "_blank");
    if (tab === null) throw new Error("No tab was opened.");
    tab.opener = null;
    const response = await fetch(`/api/labs/${lab}/ports`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ port: 8000, path: "/" }),
    });
    tab.location.replace((await response.json()).url);
  }, labId);
  const lab = await opened;
  await lab.locator("input[name=user]").fill("grace");
  await lab.getByRole("button").click();
  await lab.getByText("Hello grace").waitFor();
  // What the page may read of its cookies is its own.
  expect(await lab.title()).toBe("csrftoken=token-of-the-form");
  expect(new URL(lab.url()).pathname).toBe("/home/");
  const attack = await lab.evaluate(async (course) => {
    const outcomes: string[] = [];
    const told = (work: Promise<unknown>) =>
      work.then(
        () => outcomes.push("came through"),
        () => outcomes.push("refused"),
      );
    await told(fetch(`${course}api/progress`, { credentials: "include" }));
    await told(
      fetch(`${course}api/progress/lessons/veth`, {
        method: "PUT",
        credentials: "include",
        headers: { "content-type": "application/json" },
        body: '{"read":true}',
      }),
    );
    await told(
      new Promise((resolve, reject) => {
        const socket = new WebSocket(
          `${course.replace("http", "ws")}api/labs/x/terminals/y/socket`,
        );
        socket.onopen = resolve;
        socket.onerror = reject;
      }),
    );
    // biome-ignore lint/suspicious/noDocumentCookie: what an attacker would do
    document.cookie = "patchbay_session=evil; path=/api";
    return [outcomes, window.opener];
  }, server.url);
  expect(attack).toEqual([["refused", "refused", "refused"], null]);
  const progress = await page.evaluate(async () => (await fetch("/api/progress")).json());
  expect(progress.lessons).toEqual({});
  await context.close();
});

test("in a browser: a lab's page that shares the course's name can't put its session in the student's place", async () => {
  // As on an address that has no second name.
  await server.restart({}, { portsUrl: "http://127.0.0.1:{port}/" });
  expect(await student.runningLab()).toBe(labId);
  const attacker = await server.student();
  const context = await browser.newContext();
  const [name = "", value = ""] = student.cookie.split("=");
  await context.addCookies([{ name, value, url: server.url, httpOnly: true, sameSite: "Strict" }]);
  const lab = await context.newPage();
  const link = await linkTo(8000, { path: "/evil" });
  await lab.goto(link);
  await lab.evaluate((cookie) => {
    for (const path of ["/", "/api", "/api/progress"]) {
      // biome-ignore lint/suspicious/noDocumentCookie: what an attacker would do
      document.cookie = `${cookie}; path=${path}`;
    }
  }, attacker.cookie);
  const page = await context.newPage();
  await page.goto(server.url);
  const read = () =>
    page.evaluate(async () => {
      const response = await fetch("/api/progress/lessons/veth", {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body: '{"read":true}',
      });
      return response.status;
    });
  expect(await read()).toBe(400);
  // The refusal took the foreign cookies away.
  expect(await read()).toBe(204);
  expect((await student.ask("GET", "/api/progress")).body.lessons).toHaveProperty("veth");
  expect((await attacker.ask("GET", "/api/progress")).body.lessons).toEqual({});
  await context.close();
});

test("counts a request as use of the lab", async () => {
  await server.restart({ idleMs: 3000 });
  expect(await student.runningLab()).toBe(labId);
  const visitor = await visit(8080);
  const started = performance.now();
  while (performance.now() - started < 4000) {
    expect((await visitor.ask("GET", "/")).status).toBe(200);
    await server.running.tidy();
    await sleep(300);
  }
  expect((await student.ask("GET", `/api/labs/${labId}`)).body.state).toBe("running");
});

test("ends its connections with the lab, says so, and goes on after it was resumed or reset", async () => {
  await server.restart();
  expect(await student.runningLab()).toBe(labId);
  const visitor = await visit(8000);
  const { cookie } = visitor;
  const headers = { cookie, origin: visitor.origin };
  const socket = new WebSocket(`${visitor.origin.replace("http", "ws")}/socket`, { headers });
  await new Promise((resolve) => socket.on("open", resolve));
  const closed = new Promise((resolve) => socket.on("close", resolve));
  await server.engine.stop(labId);
  await closed;
  const stopped = await visitor.ask("GET", "/");
  expect([stopped.status, stopped.text]).toEqual([
    503,
    expect.stringContaining("The lab does not run"),
  ]);
  expect(await student.runningLab()).toBe(labId);
  // The program ended with the lab.
  expect((await visitor.ask("GET", "/")).status).toBe(502);
  await student.ask("POST", `/api/labs/${labId}/reset`, {});
  expect(await student.runningLab()).toBe(labId);
  host = (await server.engine.find(labId)).host();
  await host.capture(["docker", "run", "-d", "-p", "8000:80", "nginx"]);
  expect((await visitor.ask("GET", "/")).text).toContain("Welcome to nginx");
});

test("listens on the ports that it was given, and closes what was unused for longest", async () => {
  const taken = createServer();
  const first = await new Promise<number>((resolve) =>
    taken.listen(0, "127.0.0.1", () => resolve((taken.address() as { port: number }).port)),
  );
  const range = { first, last: first + 2 };
  await server.restart({}, { ports: range, portsUrl: "http://p{port}.localhost:{port}/" });
  expect(await student.runningLab()).toBe(labId);
  const one = await visit(8000);
  const two = await visit(8001);
  expect([one.origin, two.origin]).toEqual(
    [first + 1, first + 2].map((port) => `http://p${port}.localhost:${port}`),
  );
  expect((await fetch(`http://127.0.0.1:${first + 1}/`)).status).toBe(421);
  const answer = await one.ask("GET", "/");
  expect(answer.status).toBe(200);
  // A third one takes the place of the second, which was used before the first.
  await visit(8002);
  expect((await one.ask("GET", "/")).status).toBe(200);
  taken.close();
});

test("leaves no connection, listener or process behind", async () => {
  const visitor = await visit(8000);
  await server.stop();
  await expect(fetch(visitor.origin)).rejects.toThrow();
  await server.restart();
  expect(server.logged).toEqual([]);
});

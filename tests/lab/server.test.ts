/** The course server over the real engine: who may do what, labs, terminals, checks. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { dockerCommand } from "../../sandbox/docker/command.ts";
import { managedEngineSocket } from "../../sandbox/docker/managed-engine.ts";
import type { SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";
import { type RunningServer, serve } from "../../src/server/serve.ts";
import { BUILT_ADDRESS } from "../../src/server/site-address.ts";
import {
  decodeServerMessage,
  encodeClientMessage,
  terminalSubprotocol,
} from "../../src/terminal/protocol.ts";

let folder: string;
let engine: SandboxEngine;
let server: RunningServer;
let labId = "";
const logged: string[] = [];

const start = (maxLabs: number, settings = {}) =>
  serve({
    engine,
    host: "127.0.0.1",
    port: 0,
    siteDir: join(folder, "site"),
    stateDir: join(folder, "state"),
    settings: { maxLabs, ...settings },
    log: (message) => logged.push(message),
  });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pb-"));
  mkdirSync(join(folder, "site"));
  writeFileSync(join(folder, "site", "index.html"), "<!doctype html><title>Course</title>");
  writeFileSync(join(folder, "site", "404.html"), "<!doctype html><title>Lost</title>");
  mkdirSync(join(folder, "site", "veth"));
  const page = `<!doctype html><title>veth</title><link rel="canonical" href="${BUILT_ADDRESS}/veth/">`;
  writeFileSync(join(folder, "site", "veth", "index.html"), page);
  writeFileSync(join(folder, "site", "csp.json"), `{"scriptHashes":["'sha256-abc'"]}`);
  engine = await openSandbox({ engine: "managed" });
  await engine.prepare();
  await engine.sweep();
  server = await start(2);
}, 400_000);

afterAll(async () => {
  for (const { id } of (await engine?.list()) ?? []) await engine.down(id);
  await server?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** Names of the labs' containers on the outer engine. */
const engineNames = async () => {
  const outer = dockerCommand(`unix://${managedEngineSocket}`);
  const names = await outer("ps", "--filter", "label=patchbay.key", "--format", "{{.Names}}");
  return names.split("\n").filter(Boolean).sort();
};

class Browser {
  cookie = "";

  async visit(): Promise<Response> {
    const response = await fetch(server.url, { headers: { cookie: this.cookie } });
    const set = response.headers.get("set-cookie");
    if (set !== null) this.cookie = set.split(";")[0] ?? "";
    return response;
  }

  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const url = new URL(path, server.url);
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const response = await fetch(url, {
      method,
      headers: {
        cookie: this.cookie,
        origin: url.origin,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: text }),
    });
    const answer = await response.text();
    return { status: response.status, body: answer === "" ? undefined : JSON.parse(answer) };
  }

  async runningLab(): Promise<string> {
    const { body } = await this.ask("POST", "/api/labs", { lab: "iptables" });
    const state = async () => (await this.ask("GET", `/api/labs/${body.id}`)).body.state;
    await expect.poll(state, { timeout: 30_000 }).toBe("running");
    return body.id;
  }
}

/** A terminal's WebSocket, and what it showed. */
class Terminal {
  readonly socket: WebSocket;
  shown = "";
  status = 0;
  closed: { code: number; reason: string } | undefined;

  constructor(path: string, headers: Record<string, string>, protocol = terminalSubprotocol) {
    const url = new URL(path, server.url.replace(/^http/, "ws"));
    this.socket = new WebSocket(url, protocol, { headers });
    this.socket.on("unexpected-response", (_request, response) => {
      this.status = response.statusCode ?? 0;
      response.resume();
    });
    this.socket.on("error", () => undefined);
    this.socket.on("close", (code, reason) => {
      this.closed = { code, reason: String(reason) };
    });
    this.socket.on("message", (data: Buffer) => {
      const message = decodeServerMessage(data);
      if ("bytes" in message) this.shown += Buffer.from(message.bytes).toString();
    });
  }

  type(text: string): void {
    this.socket.send(encodeClientMessage({ type: "input", bytes: Buffer.from(text) }));
  }

  async shows(text: string): Promise<void> {
    await expect.poll(() => this.shown, { timeout: 15_000 }).toContain(text);
  }
}

const student = new Browser();

test("gives each visitor a session that scripts and other sites can't use, and a strict policy", async () => {
  const response = await student.visit();
  expect(response.status).toBe(200);
  expect(response.headers.get("set-cookie")).toMatch(/; HttpOnly/);
  expect(response.headers.get("set-cookie")).toMatch(/; SameSite=Strict/);
  const policy = response.headers.get("content-security-policy") ?? "";
  const scripts = policy.match(/script-src ([^;]*)/)?.[1] ?? "";
  expect(scripts).toContain("'sha256-abc'");
  expect(scripts).not.toContain("unsafe-inline");
  expect((await student.visit()).headers.get("set-cookie")).toBeNull();
  const lost = await fetch(new URL("/nowhere/", server.url));
  expect([lost.status, await lost.text()]).toEqual([404, "<!doctype html><title>Lost</title>"]);
  expect((await fetch(new URL("/csp.json", server.url))).status).toBe(404);
  expect((await fetch(new URL("/../state/patchbay.db", server.url))).status).toBe(404);
});

test("sends whole pages, anew or not, and leads to them from an address without slash", async () => {
  const ask = async (path: string, headers: Record<string, string> = {}) => {
    const signal = AbortSignal.timeout(3000);
    const response = await fetch(new URL(path, server.url), {
      headers: { cookie: student.cookie, ...headers },
      redirect: "manual",
      signal,
    });
    // What a browser has already, it has with its policy.
    if (response.status !== 304) {
      expect(response.headers.get("content-security-policy")).toContain("default-src");
    }
    return { response, text: await response.text() };
  };
  for (const encoding of ["identity", "gzip"]) {
    const { response, text } = await ask("/veth/", { "accept-encoding": encoding });
    expect(text).toContain(`href="${server.url}veth/"`);
    const tag = response.headers.get("etag") ?? "";
    const again = await ask("/veth/", { "accept-encoding": encoding, "if-none-match": tag });
    expect([again.response.status, again.text]).toEqual([304, ""]);
  }
  const bare = await ask("/veth");
  expect([bare.response.status, bare.response.headers.get("location")]).toEqual([301, "/veth/"]);
  expect(bare.text).toBe("");
});

test("changes nothing without a session, without an origin, or for another site", async () => {
  const lab = { lab: "iptables" };
  const codes = async (answer: ReturnType<Browser["ask"]>) => {
    const { status, body } = await answer;
    return [status, body.error.code];
  };
  const stranger = new Browser();
  expect(await codes(stranger.ask("POST", "/api/labs", lab))).toEqual([401, "no-session"]);
  const evil = { origin: "http://evil.example" };
  expect(await codes(student.ask("POST", "/api/labs", lab, evil))).toEqual([403, "origin-refused"]);
  const other = { origin: server.url.replace("127.0.0.1", "localhost").replace(/\/$/, "") };
  expect(await codes(student.ask("POST", "/api/labs", lab, other))).toEqual([
    403,
    "origin-refused",
  ]);
  const text = { "content-type": "text/plain" };
  expect(await codes(student.ask("POST", "/api/labs", lab, text))).toEqual([415, "not-json"]);
  expect(await codes(student.ask("POST", "/api/labs", "{"))).toEqual([400, "body-invalid"]);
  expect(await codes(student.ask("POST", "/api/labs", { lab: 7 }))).toEqual([400, "body-invalid"]);
  const huge = { lab: "x".repeat(20_000) };
  expect(await codes(student.ask("POST", "/api/labs", huge))).toEqual([413, "body-too-big"]);
  const unknown = { lab: "iptable" };
  expect(await codes(student.ask("POST", "/api/labs", unknown))).toEqual([
    400,
    "topology-not-found",
  ]);
  expect(await engine.list()).toEqual([]);
});

test("does nothing for pages of other origins, however they ask, and answers no HEAD", async () => {
  const status = (method: string, headers: Record<string, string>) =>
    new Promise((resolve, reject) => {
      const { host, port } = new URL(server.url);
      const options = { host: "127.0.0.1", port, path: "/api/exercises", method };
      const sent = { host, cookie: student.cookie, ...headers };
      httpRequest({ ...options, headers: sent }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on("error", reject)
        .end();
    });
  expect(await status("GET", {})).toBe(200);
  expect(await status("GET", { "sec-fetch-site": "same-origin" })).toBe(200);
  // Another port of the same name is the same site.
  expect(await status("GET", { "sec-fetch-site": "same-site" })).toBe(403);
  expect(await status("GET", { "sec-fetch-site": "cross-site" })).toBe(403);
  expect(await status("HEAD", { origin: new URL(server.url).origin })).toBe(405);
});

test("refuses to serve a state that another server has", async () => {
  await expect(start(2)).rejects.toThrow(
    /^Another course server runs with the state in .*\/state\. End it with npm stop, or give/,
  );
  expect((await student.ask("GET", "/api/exercises")).status).toBe(200);
});

test("answers to no other name, as a page that rebinds its name would use", async () => {
  const { port } = new URL(server.url);
  const status = await new Promise((resolve, reject) => {
    const headers = { host: `evil.example:${port}`, cookie: student.cookie };
    httpRequest({ host: "127.0.0.1", port, path: "/api/exercises", headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
  expect(status).toBe(421);
});

test("starts one lab for a session, however often it asks", async () => {
  const asked = [1, 2, 3].map(() => student.ask("POST", "/api/labs", { lab: "iptables" }));
  const ids = new Set((await Promise.all(asked)).map(({ body }) => body.id));
  expect(ids.size).toBe(1);
  labId = await student.runningLab();
  expect((await engine.list()).map(({ id }) => id)).toEqual([labId]);
});

test("opens terminals, and keeps their shells over a reconnect and a restart of the server", async () => {
  const path = `/api/labs/${labId}/terminals`;
  const opened = await student.ask("POST", path, { columns: 80, rows: 24 });
  expect(opened).toMatchObject({ status: 201, body: { number: 1, host: "host1" } });
  const socket = `${path}/${opened.body.id}/socket`;
  const headers = () => ({ cookie: student.cookie, origin: new URL(server.url).origin });
  const first = new Terminal(socket, headers());
  await first.shows("root@host1");
  first.type("kept=is$((40+2))here\r");
  first.type("echo $kept\r");
  await first.shows("is42here");
  await server[Symbol.asyncDispose]();
  await expect.poll(() => first.closed?.code).toBe(1012);
  server = await start(2);
  expect((await student.ask("GET", path)).body).toEqual([opened.body]);
  const second = new Terminal(socket, headers());
  await second.shows("is42here");
  second.type("echo again-$kept\r");
  await second.shows("again-is42here");
  second.socket.close();
});

test("finds a terminal by its name, gives it another title, and refuses places that are none", async () => {
  const path = `/api/labs/${labId}/terminals`;
  const size = { columns: 80, rows: 24 };
  const { body } = await student.ask("POST", path, { ...size, host: "host1", name: "capture" });
  expect(body).toMatchObject({ host: "host1", name: "capture" });
  expect((await student.ask("POST", path, { ...size, name: "capture" })).body).toEqual(body);
  const title = "Захват";
  expect((await student.ask("PATCH", `${path}/${body.id}`, { title })).body).toEqual({
    ...body,
    title,
  });
  const code = async (method: string, where: string, request: object) =>
    (await student.ask(method, where, request)).body.error.code;
  expect(await code("POST", path, { ...size, host: "host9" })).toBe("host-not-found");
  expect(await code("POST", path, { ...size, name: "a b" })).toBe("terminal-name-invalid");
  expect(await code("PATCH", `${path}/${body.id}`, { title: "a\nb" })).toBe(
    "terminal-name-invalid",
  );
  expect(await code("PATCH", `${path}/${body.id}`, { title: "x".repeat(41) })).toBe("body-invalid");
  expect(await code("PATCH", `${path}/t-none`, { title })).toBe("terminal-not-found");
  expect((await student.ask("DELETE", `${path}/${body.id}`)).status).toBe(204);
});

test("closes a connection that sends nonsense, with a reason, and hurts no other one", async () => {
  const path = `/api/labs/${labId}/terminals`;
  const { body } = await student.ask("POST", path, { columns: 80, rows: 24 });
  const headers = { cookie: student.cookie, origin: new URL(server.url).origin };
  const good = new Terminal(`${path}/${body.id}/socket`, headers);
  const bad = new Terminal(`${path}/${body.id}/socket`, headers);
  const big = new Terminal(`${path}/${body.id}/socket`, headers);
  await Promise.all([good.shows("root@host1"), bad.shows("root@host1"), big.shows("root@host1")]);
  bad.socket.send(Buffer.from([0xee, 1, 2, 3]));
  big.socket.send(Buffer.alloc(1 << 20));
  await expect.poll(() => bad.closed).toMatchObject({ reason: expect.stringMatching(/./) });
  await expect.poll(() => big.closed?.code).toBe(1009);
  good.type("echo well-$((1+1))\r");
  await good.shows("well-2");
  good.socket.close();
  expect((await student.ask("DELETE", `${path}/${body.id}`)).status).toBe(204);
});

test("lets nobody at another session's lab", async () => {
  const other = new Browser();
  await other.visit();
  const path = `/api/labs/${labId}/terminals`;
  const [open] = (await student.ask("GET", path)).body;
  for (const [method, where, body] of [
    ["GET", `/api/labs/${labId}`],
    ["POST", `/api/labs/${labId}/reset`, {}],
    ["GET", path],
    ["POST", path, { columns: 80, rows: 24 }],
    ["PATCH", `${path}/${open.id}`, { title: "mine" }],
    ["DELETE", `${path}/${open.id}`],
    ["POST", `/api/labs/${labId}/checks`, { exercise: "homework/inter-network-ping" }],
  ] as const) {
    expect((await other.ask(method, where, body)).status).toBe(404);
  }
  const { origin } = new URL(server.url);
  const socket = `${path}/${open.id}/socket`;
  const refused = [
    [new Terminal(socket, { cookie: other.cookie, origin }), 404],
    [new Terminal(socket, { origin }), 401],
    [new Terminal(socket, { cookie: student.cookie, origin: "http://evil.example" }), 403],
    [new Terminal(socket, { cookie: student.cookie }), 403],
    [new Terminal(socket, { cookie: student.cookie, origin }, "other"), 400],
    [new Terminal(`${path}/t-none/socket/x`, { cookie: student.cookie, origin }), 404],
  ] as const;
  for (const [terminal, status] of refused) {
    await expect.poll(() => terminal.status).toBe(status);
    expect(terminal.shown).toBe("");
  }
});

test("grades the lab, check by check, one run at a time", async () => {
  const path = `/api/labs/${labId}/checks`;
  const body = JSON.stringify({ exercise: "homework/inter-network-ping" });
  const headers = {
    cookie: student.cookie,
    origin: new URL(server.url).origin,
    "content-type": "application/json",
  };
  const response = await fetch(new URL(path, server.url), { method: "POST", headers, body });
  const lines = (await response.text())
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ type }) => type)).toEqual([...Array(6).fill("check"), "result"]);
  expect(lines.at(-1).result).toMatchObject({
    exercise: "homework/inter-network-ping",
    status: "failed",
    checks: expect.arrayContaining([expect.objectContaining({ id: "c1-runs", status: "failed" })]),
  });
  const twice = await Promise.all(
    [1, 2].map(async () => {
      const answer = await fetch(new URL(path, server.url), { method: "POST", headers, body });
      await answer.text();
      return answer.status;
    }),
  );
  expect(twice.toSorted()).toEqual([200, 409]);
  const both = await Promise.all([
    student.ask("POST", path, { exercise: "homework/none" }),
    student.ask("POST", path, { exercise: "bridge/by-hand" }),
  ]);
  expect(both.map(({ status }) => status)).toEqual([404, 409]);
});

/** Lines of a watch as they come, and how the page leaves. */
async function watching(browser: Browser, path: string) {
  const leave = new AbortController();
  const response = await fetch(new URL(path, server.url), {
    headers: { cookie: browser.cookie },
    signal: leave.signal,
  });
  const lines: {
    type: string;
    result?: { status: string; checks: { id: string; status: string }[] };
  }[] = [];
  const reading = (async () => {
    let rest = "";
    for await (const chunk of response.body ?? []) {
      const parts = (rest + Buffer.from(chunk).toString()).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts.map((part) => JSON.parse(part)));
    }
  })().catch(() => undefined);
  const last = () => lines.findLast(({ type }) => type === "result")?.result;
  return {
    response,
    lines,
    status: (check: string) => last()?.checks.find(({ id }) => id === check)?.status,
    async end() {
      leave.abort();
      await reading;
    },
  };
}

test("tells a page each result as the lab changes, with one watch for all pages", async () => {
  const lab = await engine.find(labId);
  const path = `/api/labs/${labId}/checks/homework/inter-network-ping/watch`;
  const listeners = async () => {
    const outer = dockerCommand(`unix://${managedEngineSocket}`);
    const all = await outer("top", "patchbay-steward", "-eo", "pid,args");
    return all.split("\n").filter((line) => line.includes("/usr/lib/patchbay/hand")).length;
  };
  /** Verdicts of each attempt that was taken down, newest first. */
  const attempts = async () => {
    const kept = await student.ask("GET", "/api/progress/attempts/homework/inter-network-ping");
    return kept.body.map(({ result }: { result: { checks: { status: string }[] } }) =>
      result.checks.map(({ status }) => status).join(),
    );
  };
  const before = await listeners();
  const attempted = (await attempts()).length;
  const [one, two] = [await watching(student, path), await watching(student, path)];
  expect(one.response.headers.get("content-type")).toBe("application/x-ndjson");
  for (const page of [one, two]) {
    await expect.poll(() => page.status("networks-exist"), { timeout: 15_000 }).toBe("failed");
  }
  // Each request to the hand is a process of its own for as long as it takes.
  await expect.poll(listeners, { timeout: 10_000 }).toBe(before + 1);
  await lab
    .host()
    .capture(["sh", "-c", "for n in 1 2; do docker network create my-bridge-00$n; done"]);
  for (const page of [one, two]) {
    await expect.poll(() => page.status("networks-exist"), { timeout: 15_000 }).toBe("passed");
  }
  // What was done is an attempt, once for all pages.
  const done = (await attempts()).slice(0, -attempted || undefined);
  expect(done.length).toBeGreaterThan(0);
  expect(new Set(done).size).toBe(done.length);
  expect(done[0]).toContain("passed");
  await one.end();
  // A page that comes later gets the last result at once.
  const three = await watching(student, path);
  await expect.poll(() => three.status("networks-exist")).toBe("passed");
  await lab.host().capture(["sh", "-c", "docker network rm my-bridge-001 my-bridge-002"]);
  await expect.poll(() => two.status("networks-exist"), { timeout: 15_000 }).toBe("failed");
  await two.end();
  await three.end();
  await expect.poll(listeners, { timeout: 10_000 }).toBe(before);
});

test("watches nothing that is not the session's, nor too much of what is", async () => {
  const path = (lab: string, exercise: string) => `/api/labs/${lab}/checks/${exercise}/watch`;
  const homework = path(labId, "homework/inter-network-ping");
  const stranger = new Browser();
  await stranger.visit();
  for (const [browser, where, status] of [
    [stranger, homework, 404],
    [new Browser(), homework, 401],
    [student, path("nobodys", "homework/inter-network-ping"), 404],
    [student, path(labId, "homework/none"), 404],
    [student, path(labId, "bridge/by-hand"), 409],
  ] as const) {
    const { response, end } = await watching(browser, where);
    expect([where, response.status]).toEqual([where, status]);
    await end();
  }
  const pages = await Promise.all(Array.from({ length: 17 }, () => watching(student, homework)));
  const statuses = pages.map(({ response }) => response.status).toSorted();
  expect(statuses).toEqual([...Array(16).fill(200), 429]);
  for (const page of pages) await page.end();
  const again = await watching(student, homework);
  expect(again.response.status).toBe(200);
  await again.end();
});

test("tells a lab that broke as broken, and never as the student's mistake", async () => {
  const lab = await engine.find(labId);
  await lab.host().capture(["pkill", "-STOP", "-x", "dockerd"]);
  const headers = {
    cookie: student.cookie,
    origin: new URL(server.url).origin,
    "content-type": "application/json",
  };
  const response = await fetch(new URL(`/api/labs/${labId}/checks`, server.url), {
    method: "POST",
    headers,
    body: JSON.stringify({ exercise: "homework/inter-network-ping" }),
  });
  const last = JSON.parse((await response.text()).trim().split("\n").at(-1) ?? "");
  await lab.host().capture(["pkill", "-CONT", "-x", "dockerd"]);
  expect(last.result.status).toBe("errored");
  const verdicts = last.result.checks.filter(
    ({ status }: { status: string }) => status === "failed",
  );
  expect(verdicts).toEqual([]);
});

test("resets the lab and keeps its terminals' tabs, with fresh shells", async () => {
  const lab = await engine.find(labId);
  const path = `/api/labs/${labId}/terminals`;
  const [open] = (await student.ask("GET", path)).body;
  await student.ask("PATCH", `${path}/${open.id}`, { title: "kept" });
  const tabs = (await student.ask("GET", path)).body;
  expect(tabs).toEqual([{ ...open, title: "kept" }]);
  await lab.host().capture(["touch", "/root/mine"]);
  expect((await student.ask("POST", `/api/labs/${labId}/reset`, {})).status).toBe(202);
  expect(await student.runningLab()).toBe(labId);
  const again = await engine.find(labId);
  expect((await again.host().capture(["ls", "/root"])).stdout).toBe("");
  const fresh = (await student.ask("GET", path)).body;
  expect(fresh).toEqual([{ ...tabs[0], id: expect.any(String), number: 1 }]);
  expect(fresh[0].id).not.toBe(tabs[0].id);
  const headers = { cookie: student.cookie, origin: new URL(server.url).origin };
  const terminal = new Terminal(`${path}/${fresh[0].id}/socket`, headers);
  await terminal.shows("root@host1");
  terminal.type("echo new-$((20+3))\r");
  await terminal.shows("new-23");
  terminal.socket.close();
});

test("puts who comes to a full machine in line, and lets them in as soon as there is room", async () => {
  const second = new Browser();
  await second.visit();
  await second.runningLab();
  const third = new Browser();
  await third.visit();
  const fourth = new Browser();
  await fourth.visit();
  const asked = [];
  for (const each of [third, fourth]) {
    asked.push((await each.ask("POST", "/api/labs", { lab: "iptables" })).body);
  }
  expect(asked).toMatchObject([
    { state: "waiting", place: 1 },
    { state: "waiting", place: 2 },
  ]);
  await sleep(1500);
  expect((await third.ask("GET", `/api/labs/${asked[0].id}`)).body.place).toBe(1);
  // Asking again takes no second place.
  expect((await fourth.ask("POST", "/api/labs", { lab: "iptables" })).body).toEqual(asked[1]);
  await engine.down(labId);
  expect((await student.ask("GET", `/api/labs/${labId}`)).status).toBe(404);
  expect(await third.runningLab()).toBe(asked[0].id);
  expect((await fourth.ask("GET", `/api/labs/${asked[1].id}`)).body.place).toBe(1);
  await engine.down(asked[0].id);
  expect(await fourth.runningLab()).toBe(asked[1].id);
  await engine.down(asked[1].id);
  const again = await student.runningLab();
  expect(again).not.toBe(labId);
  labId = again;
  expect(logged).toEqual([]);
});

test("stops a lab that nobody uses, after a warning, and brings it back with its files", async () => {
  await server[Symbol.asyncDispose]();
  server = await start(2, { idleMs: 4000 });
  const { body: view } = await student.ask("POST", "/api/labs", { lab: "iptables" });
  expect(view).toMatchObject({ id: labId, state: "running" });
  const lab = await engine.find(labId);
  await lab.host().capture(["touch", "/root/kept"]);
  const left = async () => (await student.ask("GET", `/api/labs/${labId}`)).body.stopsInMs;
  await expect.poll(left, { timeout: 6000, interval: 50 }).toBeGreaterThan(0);
  expect((await student.ask("POST", `/api/labs/${labId}/keep`, {})).body.stopsInMs).toBeUndefined();
  await expect.poll(left, { timeout: 6000, interval: 50 }).toBeLessThan(500);
  // As the server's timer does, but at once.
  await server.tidy();
  await sleep(500);
  await server.tidy();
  const stopped = await student.ask("GET", `/api/labs/${labId}`);
  expect(stopped.body).toMatchObject({ state: "stopped", problem: "Nobody used it for a while." });
  const size = { columns: 80, rows: 24 };
  expect(await student.ask("POST", `/api/labs/${labId}/terminals`, size)).toMatchObject({
    status: 409,
    body: { error: { code: "lab-stopped" } },
  });
  expect(await student.runningLab()).toBe(labId);
  const back = await engine.find(labId);
  expect((await back.host().capture(["ls", "/root"])).stdout).toBe("kept\n");
});

test("removes a lab that nobody used for long", async () => {
  await engine.stop(labId);
  await server[Symbol.asyncDispose]();
  server = await start(2, { keepMs: 0 });
  expect((await engine.list()).map(({ id }) => id)).not.toContain(labId);
  expect((await student.ask("GET", `/api/labs/${labId}`)).status).toBe(404);
});

test("keeps a lab warm, and hands it to the next student", async () => {
  for (const { id } of await engine.list()) await engine.down(id);
  await server[Symbol.asyncDispose]();
  server = await start(4, { warmLabs: 1 });
  const names = () => engineNames();
  await expect
    .poll(names, { timeout: 30_000 })
    .toEqual([expect.stringMatching(/^patchbay\.warm\./)]);
  labId = await student.runningLab();
  // The one that waited, and the next one that waits.
  await expect
    .poll(names, { timeout: 30_000 })
    .toEqual([
      expect.stringMatching(/^patchbay\.iptables\./),
      expect.stringMatching(/^patchbay\.warm\./),
    ]);
  await engine.keepWarm("iptables", 0);
});

test("tells its terminals when it stops, and leaves labs and shells", async () => {
  const path = `/api/labs/${labId}/terminals`;
  const { body } = await student.ask("POST", path, { columns: 80, rows: 24 });
  const headers = { cookie: student.cookie, origin: new URL(server.url).origin };
  const terminal = new Terminal(`${path}/${body.id}/socket`, headers);
  await terminal.shows("root@host1");
  await server[Symbol.asyncDispose]();
  await expect
    .poll(() => terminal.closed)
    .toMatchObject({ code: 1012, reason: "the server restarts" });
  server = await start(4);
  expect((await student.ask("GET", `/api/labs/${labId}`)).body.state).toBe("running");
  expect((await student.ask("GET", path)).body).toHaveLength(1);
});

test("refuses the database of a newer version, and leaves it as it is", async () => {
  await server[Symbol.asyncDispose]();
  const file = join(folder, "state", "patchbay.db");
  const database = new DatabaseSync(file);
  const version = database.prepare("PRAGMA user_version").get()?.["user_version"];
  database.exec("PRAGMA user_version = 99");
  await expect(start(2)).rejects.toThrow(/written by a newer Patchbay \(99/);
  expect(database.prepare("SELECT count(*) AS n FROM labs").get()).toMatchObject({ n: 1 });
  database.exec(`PRAGMA user_version = ${version}`);
  database.close();
  server = await start(2);
});

test("bounds the rate of requests", async () => {
  const eager = new Browser();
  await eager.visit();
  const asked = Array.from({ length: 60 }, () => eager.ask("POST", "/api/labs", { lab: "none" }));
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  expect(statuses).toContain(429);
  const looks = Array.from({ length: 200 }, () => eager.ask("GET", "/api/exercises"));
  expect((await Promise.all(looks)).map(({ status }) => status)).toContain(429);
  await sleep(300);
  expect((await eager.ask("POST", "/api/labs", { lab: "none" })).status).toBe(400);
});

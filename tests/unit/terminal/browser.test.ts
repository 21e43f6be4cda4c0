/** The page's side in a real Chromium, against a real gateway and real shells. */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import type { AxeResults } from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import type { LabTerminals } from "../../../src/terminal/client/index.ts";
import { TerminalGateway, terminalWebSocketOptions } from "../../../src/terminal/server/index.ts";
import { until } from "./harness.ts";

declare global {
  interface Window {
    terminals: LabTerminals;
    statuses: string[];
    axe: { run(): Promise<AxeResults> };
  }
}

const clientEntry = fileURLToPath(
  new URL("../../../src/terminal/client/index.ts", import.meta.url),
);
const page404 = "<!doctype html><title>Not found</title>";
const shellScript =
  "PS1='$ '; stty -echo; while read -r line; do case $line in full) printf '\\033[?1049h';; *) echo \"<$line>\";; esac; done";

let folder: string;
let gateway: TerminalGateway;
let browser: Browser;
let page: Page;
let baseUrl: string;
const sockets = new Set<Duplex>();
const server = createServer((request, response) => void answer(request, response));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  const json = (status: number, body: unknown) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  const [, , , labId = "", , terminalId] = path.split("/");
  if (path.startsWith("/api/labs/")) {
    if (request.method === "GET") json(200, await gateway.list(labId));
    else if (request.method === "POST") {
      const command = () => ({ file: "/bin/sh", args: ["-c", shellScript], env: {} });
      json(201, await gateway.open(labId, command, { columns: 80, rows: 24 }));
    } else {
      await gateway.close(labId, terminalId ?? "");
      response.writeHead(204).end();
    }
    return;
  }
  const file = join(folder, "dist", path === "/" ? "index.html" : path);
  const types: Record<string, string> = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
  };
  if (!existsSync(file)) response.writeHead(404).end(page404);
  else {
    response.setHeader("content-type", types[extname(file)] ?? "application/octet-stream");
    response.end(await readFile(file));
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "patchbay-"));
  await writeFile(
    join(folder, "index.html"),
    `<!doctype html><html lang="en"><head><title>Terminals</title><style>
      :root { --sl-color-bg: #17181c; --sl-color-text: #c0c2c7; --sl-color-white: #fff; --sl-color-gray-2: #c0c2c7;
        --sl-color-gray-3: #a0a3aa; --sl-color-gray-4: #545861; --sl-color-gray-5: #353841; --sl-color-gray-6: #24272f;
        --sl-color-accent: #447ef2; --sl-color-accent-low: #131e4f; --sl-color-accent-high: #b3c7ff; --sl-color-bg-nav: #24272f; }
      body { margin: 0 } main { height: 100vh }</style></head>
      <body><main><h1 hidden>Terminals</h1><div id="lab" style="height:100%"></div></main>
      <script type="module" src="./entry.ts"></script></body></html>`,
  );
  await writeFile(
    join(folder, "entry.ts"),
    `import { mountTerminals } from ${JSON.stringify(clientEntry)};
     window.statuses = [];
     window.terminals = mountTerminals(document.getElementById("lab"), { labId: "lab", theme: "dark" });
     window.terminals.onStatus((status) => window.statuses.push(status));`,
  );
  await build({ root: folder, logLevel: "error", build: { outDir: "dist" } });
  gateway = new TerminalGateway({ stateDir: folder });
  const webSockets = new WebSocketServer({ ...terminalWebSocketOptions, noServer: true });
  server.on("upgrade", (request, socket, head) => {
    sockets.add(socket);
    const [, , , labId = "", , terminalId = ""] = (request.url ?? "").split("/");
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      void gateway.attach(labId, terminalId, webSocket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const executablePath =
    process.env["PATCHBAY_CHROMIUM"] ??
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
      existsSync(path),
    );
  browser = await chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    args: ["--no-sandbox"],
  });
}, 120_000);

beforeEach(async () => {
  const context = await browser.newContext({
    permissions: ["clipboard-read", "clipboard-write"],
    viewport: { width: 900, height: 600 },
  });
  page = await context.newPage();
  page.on("pageerror", (error) => {
    throw error;
  });
  await page.goto(baseUrl);
  await page.waitForFunction(() => window.statuses.includes("connected"));
  await page.evaluate(() => window.terminals.focus());
  return () => context.close();
});

afterAll(async () => {
  await browser?.close();
  await gateway?.closeLab("lab");
  await gateway?.[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
  await until("the keeper has ended", () => !existsSync(join(folder, "terminals", "lab.sock")));
  await rm(folder, { recursive: true, force: true });
});

/** What the terminal in view says, through the accessible copy of its rows. */
async function sees(text: string): Promise<void> {
  await page.getByText(text, { exact: false }).first().waitFor({ timeout: 10_000 });
}

async function readable(): Promise<void> {
  // The WebGL renderer leaves no text in the page; screen reader mode does.
  const button = page.getByRole("button", { name: "Screen reader" });
  if ((await button.getAttribute("aria-pressed")) !== "true") await button.click();
  await page.evaluate(() => window.terminals.focus());
}

test("a student types and sees the answer, also after a reload and a lost connection", async () => {
  await readable();
  await page.keyboard.type("hello\n");
  await sees("<hello>");
  await page.reload();
  await sees("<hello>");
  await page.waitForFunction(() => window.statuses.includes("connected"));
  for (const socket of sockets) socket.destroy();
  await page.waitForFunction(() => window.statuses.includes("reconnecting"));
  await page.waitForFunction(() => window.statuses.at(-1) === "connected");
  await page.evaluate(() => window.terminals.focus());
  await page.keyboard.type("again\n");
  await sees("<again>");
  expect(await gateway.list("lab")).toHaveLength(1);
});

test("a command is run once, and a second time only said", async () => {
  await readable();
  const answers = await page.evaluate(() => [
    window.terminals.run("docker ps", "lesson:7"),
    window.terminals.run("docker ps", "lesson:7"),
  ]);
  expect(answers[0]).toBe("sent");
  await sees("<docker ps>");
  expect(await page.evaluate(() => window.terminals.run("docker ps", "lesson:7"))).toBe(
    "duplicate",
  );
});

test("Esc twice leaves for the page, and Enter comes back", async () => {
  const focused = () => page.evaluate(() => document.activeElement?.className ?? "");
  expect(await focused()).toContain("xterm-helper-textarea");
  await page.keyboard.press("Tab");
  expect(await focused()).toContain("xterm-helper-textarea");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await until("the terminal is left", async () => (await focused()) === "pb-terminal");
  await page.keyboard.press("Shift+Tab");
  expect(await focused()).not.toContain("xterm");
  await page.locator(".pb-terminal:visible").focus();
  await page.keyboard.press("Enter");
  expect(await focused()).toContain("xterm-helper-textarea");
});

test("tabs open, move by keyboard and close", async () => {
  await page.getByRole("button", { name: "New terminal" }).click();
  await until("two tabs", async () => (await page.getByRole("tab").count()) === 2);
  const selected = page.locator('[role="tab"][aria-selected="true"]');
  expect(await selected.textContent()).toContain("Terminal 2");
  await selected.focus();
  await page.keyboard.press("ArrowRight");
  expect(await selected.textContent()).toContain("Terminal 1");
  await page.keyboard.press("End");
  expect(await selected.textContent()).toContain("Terminal 2");
  await page.keyboard.press("Delete");
  await until("one tab", async () => (await page.getByRole("tab").count()) === 1);
  expect(await gateway.list("lab")).toHaveLength(1);
});

test("a paste can press no keys, and output can't read the clipboard", async () => {
  await readable();
  await page.evaluate(() => navigator.clipboard.writeText("secret\u001b[201~\u0003text\n"));
  // Headless Chromium pastes by Shift+Insert alone: Ctrl+Shift+V belongs to a browser's window.
  await page.keyboard.press("Enter");
  await page.keyboard.press("Shift+Insert");
  await sees("<secret[201~text>");
});

test("has no accessibility violation, in dark and light", async () => {
  const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
  await page.addScriptTag({ path: axe });
  for (const theme of ["dark", "light"] as const) {
    await page.evaluate((name) => window.terminals.setTheme(name), theme);
    const { violations } = await page.evaluate(() => window.axe.run());
    expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
  }
});

test("a shell that ended says so and is replaced", async () => {
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+d");
  await page
    .getByText("The shell has ended with exit code 0.")
    .first()
    .waitFor({ timeout: 10_000 });
  const [before] = await gateway.list("lab");
  await page.getByRole("button", { name: "Start a new shell" }).click({ timeout: 5_000 });
  await until("another terminal is there", async () => {
    const [now, ...others] = await gateway.list("lab");
    return now !== undefined && others.length === 0 && now.id !== before?.id;
  });
  await page.waitForFunction(() => window.statuses.at(-1) === "connected");
});

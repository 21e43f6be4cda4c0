/** The page's side in a real Chromium, against a real gateway and real shells. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
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
import type { LabTerminals, RunRequest } from "../../../src/terminal/client/index.ts";
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
const textEntry = fileURLToPath(new URL("../../../src/i18n/lab.ts", import.meta.url));
const page404 = "<!doctype html><title>Not found</title>";
/** Reads lines at a prompt, and says them in brackets. */
const shellScript = `stty -echo; while printf '$ ' && read -r line; do case $line in
  full) printf '\\033[?1049h';; bell) sleep 0.2; printf '\\007\\n';; wait) sleep 60;;
  link) echo 'see http://localhost:8080/shop and http://docs.example/';;
  *) echo "<$line>";; esac; done`;

let folder: string;
let gateway: TerminalGateway;
let browser: Browser;
let page: Page;
let baseUrl: string;
/** Each test has a lab of its own. */
let lab = "";
let labCount = 0;
const sockets = new Set<Duplex>();
const server = createServer((request, response) => void answer(request, response));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  const json = (status: number, body: unknown) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  const [, , , labId = "", , terminalId] = path.split("/");
  if (path.startsWith("/api/labs/")) {
    let body = "";
    for await (const chunk of request) body += chunk;
    if (request.method === "GET") json(200, await gateway.list(labId));
    else if (path.endsWith("/ports")) json(200, { url: "/port-link" });
    else if (request.method === "POST") {
      const { columns, rows, ...place } = JSON.parse(body);
      const command = () => ({ file: "/bin/sh", args: ["-c", shellScript], env: {} });
      json(201, await gateway.open(labId, command, { columns, rows }, place));
    } else if (request.method === "PATCH") {
      json(200, await gateway.rename(labId, terminalId ?? "", JSON.parse(body).title));
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
     import { labText } from ${JSON.stringify(textEntry)};
     const query = new URLSearchParams(location.search);
     document.documentElement.lang = query.get("language") ?? "en";
     window.statuses = [];
     window.terminals = mountTerminals(document.getElementById("lab"), {
       labId: query.get("lab") ?? "lab",
       hosts: (query.get("hosts") ?? "host1").split(","),
       theme: "dark",
       text: labText[document.documentElement.lang],
     });
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
  labCount += 1;
  lab = `lab-${labCount}`;
  await page.goto(`${baseUrl}?lab=${lab}`);
  await page.waitForFunction(() => window.statuses.includes("connected"));
  await page.evaluate(() => window.terminals.focus());
  return async () => {
    await context.close();
    await gateway.closeLab(lab);
  };
});

afterAll(async () => {
  await browser?.close();
  await gateway?.[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
  await until("the keepers have ended", async () => {
    const names = await readdir(join(folder, "terminals"));
    return !names.some((name) => name.endsWith(".sock"));
  });
  await rm(folder, { recursive: true, force: true });
});

/** What the terminal in view says, through the accessible copy of its rows. */
async function sees(text: string): Promise<void> {
  const copy = page.locator(".xterm-accessibility-tree");
  await copy.getByText(text, { exact: false }).first().waitFor({ timeout: 10_000 });
}

async function readable(): Promise<void> {
  // The WebGL renderer leaves no text in the page; screen reader mode does.
  await page.evaluate(() => localStorage.setItem("patchbay.terminal.screen-reader", "on"));
  await page.reload();
  await page.waitForFunction(() => window.statuses.includes("connected"));
  await page.evaluate(() => window.terminals.focus());
}

const tabs = () => page.getByRole("tab").allTextContents();
const run = (request: Omit<RunRequest, "id"> & { id?: string }) =>
  page.evaluate((asked) => window.terminals.run(asked), { id: randomUUID(), ...request });
const openMenu = () => page.getByRole("button", { name: "Menu" }).click();
const focusedLabel = () =>
  page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? "");

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
  expect(await gateway.list(lab)).toHaveLength(1);
});

test("a terminal is drawn where a browser's tools make believe that the screen is finer", async () => {
  const fine = await browser.newContext({
    viewport: { width: 900, height: 600 },
    deviceScaleFactor: 2,
  });
  try {
    page = await fine.newPage();
    await page.goto(`${baseUrl}?lab=${lab}`);
    await page.waitForFunction(() => window.statuses.includes("connected"));
    await page.evaluate(() => window.terminals.focus());
    const drawn = async () => (await page.locator(".xterm-screen").screenshot()).toString("base64");
    // The faster way to draw comes after the first paint.
    await page.waitForTimeout(2500);
    // A cursor blinks.
    const before = new Set<string>();
    for (let index = 0; index < 12; index += 1) before.add(await drawn());
    await page.keyboard.type("words\n");
    await until("words are drawn", async () => !before.has(await drawn()));
  } finally {
    await fine.close();
  }
});

test("a command is run once, and a second time only said", async () => {
  await readable();
  const twice = [
    run({ id: "lesson:7", command: "docker ps" }),
    run({ id: "lesson:7", command: "docker ps" }),
  ];
  expect((await Promise.all(twice)).map(({ outcome }) => outcome)).toEqual(["typed", "duplicate"]);
  await sees("<docker ps>");
  expect((await run({ id: "lesson:7", command: "docker ps" })).outcome).toBe("duplicate");
  const tree = page.locator(".xterm-accessibility-tree");
  expect(await tree.getByText("<docker ps>").count()).toBe(1);
});

test("a command is not typed while another runs, nor while nobody is connected", async () => {
  await readable();
  await run({ command: "wait" });
  expect(await run({ command: "never" })).toEqual({ outcome: "no-prompt", terminal: "main" });
  await page.context().setOffline(true);
  for (const socket of sockets) socket.destroy();
  await page.waitForFunction(() => window.statuses.at(-1) === "reconnecting");
  expect((await run({ command: "never" })).outcome).toBe("not-connected");
  await page.context().setOffline(false);
  await page.waitForFunction(() => window.statuses.at(-1) === "connected", undefined, {
    timeout: 20_000,
  });
  expect(await page.locator(".xterm-accessibility-tree").getByText("<never>").count()).toBe(0);
});

test("a command goes to the terminal that its lesson names, found again after a reload and a new name", async () => {
  await readable();
  const capture = { command: "tcpdump", terminal: "capture" };
  expect(await run(capture)).toEqual({ outcome: "typed", terminal: "capture" });
  expect(await tabs()).toEqual(["main", "capture"]);
  await sees("<tcpdump>");
  // Without a name: never into a terminal that a lesson named.
  expect((await run({ command: "ping" })).terminal).toBe("main");
  await page.getByRole("tab", { name: "capture" }).click();
  await page.getByRole("tab", { name: "capture" }).press("F2");
  await page.getByRole("textbox", { name: "Name" }).fill("Захват <b>");
  await page.keyboard.press("Enter");
  await until("the tab is renamed", async () => (await tabs())[1] === "Захват <b>");
  await page.reload();
  await page.waitForFunction(() => window.statuses.includes("connected"));
  await until("the name is kept", async () => (await tabs())[1] === "Захват <b>");
  expect(await run({ ...capture, command: "again" })).toEqual({
    outcome: "typed",
    terminal: "Захват <b>",
  });
  await page.getByRole("tab", { name: "Захват" }).focus();
  await page.keyboard.press("Delete");
  await until("it is closed", async () => (await tabs()).length === 1);
});

test("a lab of two hosts has a terminal on each, says which, and opens more by a menu", async () => {
  await page.goto(`${baseUrl}?lab=${lab}&hosts=host1,host2`);
  await until("both are open", async () => (await tabs()).length === 2);
  expect(await tabs()).toEqual(["host1 · main", "host2 · main"]);
  await page.waitForFunction(() => window.statuses.at(-1) === "connected");
  expect(await run({ command: "ip a", host: "host2" })).toEqual({
    outcome: "typed",
    terminal: "host2 · main",
  });
  expect((await run({ command: "ip a" })).terminal).toBe("host1 · main");
  expect((await run({ command: "ip a", host: "host3" })).outcome).toBe("no-host");
  await page.getByRole("button", { name: "New terminal" }).press("Enter");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await until("three tabs", async () => (await tabs())[2] === "host2 · Terminal 3");
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
  expect(await selected.textContent()).toMatch(/^Terminal \d+$/);
  await selected.focus();
  await page.keyboard.press("ArrowRight");
  expect(await selected.textContent()).toBe("main");
  await page.keyboard.press("End");
  expect(await selected.textContent()).toMatch(/^Terminal \d+$/);
  await page.keyboard.press("Delete");
  await until("one tab", async () => (await page.getByRole("tab").count()) === 1);
  expect(await page.evaluate(() => document.activeElement?.getAttribute("role"))).toBe("tab");
  expect(await gateway.list(lab)).toHaveLength(1);
});

test("the output is searched, with counts, case, expressions and a way back", async () => {
  await readable();
  for (const word of ["needle one", "hay", "NEEDLE two"]) {
    await run({ command: word });
    await sees(`<${word}>`);
  }
  await page.evaluate(() => window.terminals.focus());
  await page.keyboard.press("Control+Shift+F");
  const field = page.getByRole("searchbox");
  const count = page.locator(".pb-find-count:visible");
  const counts = (text: string) =>
    expect.poll(() => count.textContent(), { timeout: 5_000 }).toBe(text);
  await field.fill("needle");
  await counts("2 of 2");
  await page.keyboard.press("Shift+Enter");
  await counts("1 of 2");
  await page.getByRole("button", { name: "Match case" }).click();
  await counts("1 of 1");
  await page.getByRole("button", { name: "Regular expression" }).click();
  await field.fill("<n[e]{2}");
  await counts("1 of 1");
  await field.fill("(");
  await counts("No regular expression");
  await field.fill("nowhere");
  await counts("Nothing found");
  await page.keyboard.press("Escape");
  expect(await page.evaluate(() => document.activeElement?.className)).toContain("xterm");
  await page.keyboard.type("typed\n");
  await sees("<typed>");
});

/** Where a character of the first row stands; the prompt `$ ` is in front of what the first command says. */
async function cell(column: number): Promise<{ x: number; y: number }> {
  const box = await page.locator(".xterm-screen:visible").boundingBox();
  const [info] = await gateway.list(lab);
  if (box === null || info === undefined) throw new Error("There is no terminal in view.");
  return { x: box.x + ((column + 0.5) * box.width) / info.columns, y: box.y + 8 };
}

test("settings are remembered: the font, copying what is selected, the row of keys", async () => {
  const columns = async () => (await gateway.list(lab))[0]?.columns ?? 0;
  await until("the size is known", async () => (await columns()) !== 80);
  const before = await columns();
  await openMenu();
  for (let step = 0; step < 4; step++) await page.getByRole("button", { name: "Larger" }).click();
  await page.getByLabel("Copy what is selected").check();
  await page.getByLabel("Row of keys").check();
  await page.keyboard.press("Escape");
  expect(await focusedLabel()).toBe("Menu");
  await until("there is room for fewer columns", async () => (await columns()) < before);
  await page.reload();
  await page.waitForFunction(() => window.statuses.includes("connected"));
  await openMenu();
  expect(await page.locator(".pb-font-size").textContent()).toBe("18");
  expect(await page.getByLabel("Copy what is selected").isChecked()).toBe(true);
  await page.keyboard.press("Escape");
  await page.evaluate(() => window.terminals.focus());
  await page.keyboard.type("x");
  await page.getByRole("button", { name: "Ctrl", exact: true }).click();
  await page.keyboard.type("u");
  await page.keyboard.type("selectme");
  await page.getByRole("button", { name: "|", exact: true }).click();
  await page.keyboard.press("Enter");
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  await until("what is selected is copied", async () => {
    const { x, y } = await cell(6);
    await page.mouse.dblclick(x, y);
    return (await copied()) === "<selectme|>";
  });
});

test("the output can be had as plain text", async () => {
  await run({ command: "for a reader" });
  await openMenu();
  await page.getByRole("button", { name: "Output as text" }).click();
  const field = page.getByRole("textbox", { name: "Output of main" });
  await field.waitFor();
  await until("it has the output", async () => {
    await page.getByRole("button", { name: "Refresh" }).click();
    return (await field.inputValue()).includes("<for a reader>");
  });
  await page.keyboard.press("Escape");
  expect(await focusedLabel()).toBe("Menu");
});

test("screen reader mode leaves the right button's paste working", async () => {
  await readable();
  await page.evaluate(() => {
    document.addEventListener("contextmenu", (event) => {
      const under = document.elementFromPoint(event.clientX, event.clientY);
      document.body.dataset["menu"] = `${under?.tagName} ${document.activeElement === under}`;
    });
  });
  await page.mouse.click(300, 300, { button: "right" });
  // A browser offers to paste where its menu opens over an editable field.
  expect(await page.evaluate(() => document.body.dataset["menu"])).toBe("TEXTAREA true");
});

test("a link is opened only after asking, and a port of the lab through the course", async () => {
  const line = "$ see http://localhost:8080/shop and http://docs.example/";
  await run({ command: "link" });
  const clickOn = async (text: string) => {
    const { x, y } = await cell(line.indexOf(text) + 3);
    await page.mouse.move(x, y + 40);
    await page.mouse.move(x, y);
    await page.mouse.click(x, y);
  };
  const open = page.getByRole("link", { name: "Open in a new tab" });
  await until("the link is there", async () => {
    await clickOn("http://localhost");
    return open.isVisible();
  });
  expect(await page.getByRole("dialog").textContent()).toContain("Port 8080 of host1");
  expect(await open.getAttribute("href")).toBe("/port-link");
  await page.keyboard.press("Escape");
  await clickOn("http://docs");
  await open.waitFor();
  expect(await open.getAttribute("href")).toBe("http://docs.example/");
  expect(await open.getAttribute("rel")).toBe("noopener noreferrer");
  await page.keyboard.press("Escape");
});

test("the bell is seen, also of a terminal that is not in view", async () => {
  // It is seen for a moment only: somebody must be looking before it rings.
  const seen = await page.evaluateHandle(() => {
    const rung = new Promise<boolean>((resolve) => {
      new MutationObserver((changes) => {
        const panels = changes.map(({ target }) => target as HTMLElement);
        if (panels.some(({ dataset }) => dataset["bell"] !== undefined)) resolve(true);
      }).observe(document.body, { subtree: true, attributeFilter: ["data-bell"] });
    });
    return { rung };
  });
  await run({ command: "bell" });
  expect(await seen.evaluate(({ rung }) => rung)).toBe(true);
  await until(
    "the prompt is back",
    async () => (await run({ command: "bell" })).outcome === "typed",
  );
  await run({ command: "x", terminal: "other" });
  await page.getByRole("tab", { name: /The bell rang in main/ }).waitFor();
});

test("a paste can press no keys, and output can't read the clipboard", async () => {
  await readable();
  await page.evaluate(() => navigator.clipboard.writeText("secret\u001b[201~\u0003text\n"));
  // Headless Chromium pastes by Shift+Insert alone: Ctrl+Shift+V belongs to a browser's window.
  await page.keyboard.press("Enter");
  await page.keyboard.press("Shift+Insert");
  await sees("<secret[201~text>");
});

test("has no accessibility violation, in dark and light, in two languages, with all that opens", async () => {
  const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
  for (const language of ["en", "ru"]) {
    await page.goto(`${baseUrl}?lab=${lab}&language=${language}`);
    await page.waitForFunction(() => window.statuses.includes("connected"));
    await page.addScriptTag({ path: axe });
    const checkAll = async (what: string) => {
      for (const theme of ["dark", "light"] as const) {
        await page.evaluate((name) => window.terminals.setTheme(name), theme);
        const { violations } = await page.evaluate(() => window.axe.run());
        const found = violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
        expect(found, `${what}, ${theme}, ${language}`).toEqual([]);
      }
    };
    await page.locator(".pb-terminals-menu").click();
    await checkAll("menu");
    await page.locator(".pb-popup button").nth(1).click();
    await checkAll("plain text");
    await page.keyboard.press("Escape");
    await page.evaluate(() => window.terminals.focus());
    await page.keyboard.press("Control+Shift+F");
    await checkAll("search");
  }
});

test("a shell that ended says so and is replaced", async () => {
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+d");
  await page
    .getByText("The shell has ended with exit code 0.")
    .first()
    .waitFor({ timeout: 10_000 });
  expect((await run({ command: "x" })).outcome).toBe("ended");
  const before = (await gateway.list(lab)).find(({ name }) => name === "main");
  await page.getByRole("button", { name: "Start a new shell" }).click({ timeout: 5_000 });
  await until("another terminal has its place", async () => {
    const list = await gateway.list(lab);
    const now = list.find(({ name }) => name === "main");
    return now !== undefined && list.length === 1 && now.id !== before?.id;
  });
  await page.waitForFunction(() => window.statuses.at(-1) === "connected");
});

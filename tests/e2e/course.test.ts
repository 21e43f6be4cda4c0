/** A student in a real browser, from `npm start` to a solved homework, and what is left after `npm stop`. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { managedEnginePaths, managedEngineSocket } from "../../sandbox/docker/managed-engine.ts";
import { openSandbox } from "../../sandbox/open.ts";
import { axeFaults, complaintsOf, launchBrowser } from "../fixtures/browser.ts";

const script = (name: string) => fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));
const stateDir = mkdtempSync(join(tmpdir(), "pb-"));
const env = { ...process.env, PATCHBAY_STATE_DIR: stateDir, PATCHBAY_ENGINE: "managed" };

let server: ChildProcess;
let url: string;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

async function npmStart(port: string): Promise<void> {
  server = spawn("node", [script("start.mjs"), "--port", port, "--max-labs", "1"], { env });
  let printed = "";
  const collect = (chunk: Buffer) => {
    printed += chunk;
  };
  server.stdout?.on("data", collect);
  server.stderr?.on("data", collect);
  const address = () => printed.match(/Patchbay is at (\S+)/)?.[1];
  while (address() === undefined && server.exitCode === null) await sleep(100);
  url = address() ?? "";
  expect(url, printed).not.toBe("");
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once("exit", resolve));
}

beforeAll(async () => {
  await npmStart("0");
  browser = await launchBrowser();
  context = await browser.newContext({ viewport: { width: 1360, height: 860 } });
  // In this mode the page has the terminal's text; otherwise it is drawn.
  await context.addInitScript(() => localStorage.setItem("patchbay.terminal.screen-reader", "on"));
  page = await context.newPage();
  page.setDefaultTimeout(15_000);
  complaints = complaintsOf(page, () => new URL(url).origin);
}, 400_000);

afterAll(async () => {
  await browser?.close();
  server?.kill("SIGTERM");
  if (server !== undefined) await ended(server);
  await using engine = await openSandbox({ engine: "managed" });
  for (const { id } of await engine.list()) await engine.down(id);
  spawnSync("node", [script("stop.mjs")], { env });
  rmSync(stateDir, { recursive: true, force: true });
}, 60_000);

/** What a screen reader would read of the terminal. */
const shown = async () =>
  (await page.locator(".xterm-accessibility-tree > *").allTextContents()).join("\n");
const shows = (text: string | RegExp) =>
  expect.poll(shown, { timeout: 20_000 }).toMatch(text instanceof RegExp ? text : new RegExp(text));
const runBlock = (text: string) =>
  page.locator("pb-run", { hasText: text }).first().getByTestId("run").click();
const type = async (text: string) => {
  await page.locator(".xterm-helper-textarea").first().focus();
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
};
const homework = () => page.locator("#exercise-homework-inter-network-ping");
const check = async () => {
  await homework().getByTestId("check-button").click();
  const verdict = homework().getByTestId("check-verdict");
  await expect
    .poll(() => verdict.getAttribute("data-status"), { timeout: 30_000 })
    .toMatch(/passed|failed|errored/);
  return verdict.getAttribute("data-status");
};
const labReady = () =>
  page.waitForSelector("pb-lab[data-state=ready]", { state: "attached", timeout: 30_000 });

test("opens the lesson from the first page, without the terminal's code", async () => {
  const scripts: string[] = [];
  page.on("response", (response) => {
    if (response.url().endsWith(".js")) scripts.push(response.url());
  });
  await page.goto(url);
  await page.locator('#map a[href="/iptables/"]').click();
  await page.waitForURL("**/iptables/");
  await page.waitForLoadState("networkidle");
  expect(scripts.filter((address) => /xterm|terminal/.test(address))).toEqual([]);
});

test("finds a word of a lesson by the search", async () => {
  await page.keyboard.press("Control+k");
  await page.locator("dialog[open] input").fill("masquerade");
  await page.locator('dialog[open] a[href^="/iptables/"]').first().click();
  await page.waitForURL("**/iptables/**");
});

test("starts the lab and gets a prompt", async () => {
  await page.getByTestId("start-lab").click();
  await labReady();
  await shows("root@host1:~#");
});

test("tries the ping, and sees 100% loss", async () => {
  const ids = async () => new Set((await shown()).match(/\b[0-9a-f]{64}\b/g)).size;
  await runBlock("docker run -d --name web");
  await expect.poll(ids, { timeout: 20_000 }).toBe(1);
  await runBlock("docker network prune");
  await expect.poll(ids, { timeout: 20_000 }).toBe(4);
  await runBlock("docker run --rm --name c2");
  await shows("100% packet loss");
});

test("presses Check, and sees what is missing, with a hint", async () => {
  expect(await check()).toBe("failed");
  const failed = homework().locator('li[data-testid="check-result"][data-status="failed"]');
  expect(await failed.count()).toBe(1);
  const text = (await failed.textContent()) ?? "";
  expect(text).toContain("A fresh container in my-bridge-002 alone reaches c1");
  expect(text).toMatch(/Expected\s*10 of 10 echo requests/);
  expect(text).toMatch(/Actual\s*10 sent, 0 arrived at c1/);
  expect(text).toMatch(/Hint\s*The requests do not get from one bridge to the other/);
});

test("runs the rule, presses Check, and sees it pass", async () => {
  const lock = page.getByTestId("solution-lock").last();
  await lock.getByRole("button", { name: "Show me anyway" }).click();
  await lock.getByRole("button", { name: "Show the solution" }).click();
  await runBlock("iptables -I DOCKER-USER -i $br2");
  await type("iptables -S DOCKER-USER | grep -c ACCEPT | sed s/^/accepts=/");
  await shows("accepts=2");
  expect(await check()).toBe("passed");
  expect(await homework().getByTestId("check-verdict").textContent()).toContain("Solved");
  expect(
    await homework().locator('[data-testid="check-result"][data-status="passed"]').count(),
  ).toBe(6);
});

test("a second student waits in line, and is told the place", async () => {
  const other = await browser.newContext({ viewport: { width: 1360, height: 860 } });
  const visitor = await other.newPage();
  await visitor.goto(`${url}iptables/`);
  await visitor.getByTestId("start-lab").click();
  await visitor.waitForSelector("pb-lab[data-state=waiting]");
  const waiting = visitor.getByTestId("lab-waiting");
  expect(await waiting.textContent()).toMatch(/You are number\s+1\s+in line/);
  expect(await axeFaults(visitor)).toEqual([]);
  if (process.env["PATCHBAY_SCREENSHOTS"]) {
    await visitor.screenshot({ path: join(process.env["PATCHBAY_SCREENSHOTS"], "waiting.png") });
  }
  await other.close();
});

test("reloads, and the shell is still there", async () => {
  await type("kept=over-the-reload");
  await page.reload();
  await labReady();
  await shows("accepts=2");
  await type("echo is-$kept");
  await shows("is-over-the-reload");
});

test("edits a file in vim, full screen and back", async () => {
  await type("vim -N notes.txt");
  await shows('notes.txt.* \\[New\\]|"notes.txt"');
  await page.keyboard.type("ihello from vim");
  await page.keyboard.press("Escape");
  await type(":wq");
  await shows("accepts=2");
  await type("sed s/^/saved-/ notes.txt");
  await shows("saved-hello from vim");
});

test("opens a second terminal beside the first one", async () => {
  await page
    .getByRole("button", { name: /new terminal|open a terminal|\+/i })
    .first()
    .click();
  await expect.poll(() => page.getByRole("tab").count(), { timeout: 15_000 }).toBe(2);
  await shows("root@host1:~#");
});

test("moves the divider by keyboard, and keeps it", async () => {
  const divider = page.getByTestId("lab-divider");
  const before = Number(await divider.getAttribute("aria-valuenow"));
  await divider.focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  const after = Number(await divider.getAttribute("aria-valuenow"));
  expect(after).toBe(before + 4);
  await page.reload();
  await labReady();
  expect(Number(await divider.getAttribute("aria-valuenow"))).toBe(after);
});

test("has no fault that axe knows, in light and dark, wide and narrow", async () => {
  const faults: string[] = [];
  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [1360, 400]) {
      for (const path of ["", "iptables/"]) {
        await page.setViewportSize({ width, height: 860 });
        await page.emulateMedia({ colorScheme });
        await page.goto(url + path);
        if (path !== "") await labReady();
        for (const fault of await axeFaults(page)) {
          faults.push(`${colorScheme} ${width} /${path} ${fault}`);
        }
      }
    }
  }
  expect(faults).toEqual([]);
  await page.setViewportSize({ width: 1360, height: 860 });
});

test("resets the lab after asking, and starts it anew", async () => {
  await page.getByTestId("reset-lab").click();
  await page.getByTestId("confirm-reset").click();
  await page.waitForSelector("pb-lab[data-state=starting]");
  await labReady();
  expect(await check()).toBe("failed");
});

test("broke no rule of its own policy, and asked no other origin", () => {
  expect(complaints).toEqual([]);
});

test("Ctrl-C ends the server and leaves the lab; npm stop ends all; the next start brings it back", async () => {
  await type("touch /root/kept; echo touched-$((6*7))");
  await shows("touched-42");
  const { port } = new URL(url);
  server.kill("SIGINT");
  await ended(server);
  await expect.poll(() => fetch(url).catch(() => "gone")).toBe("gone");
  const engine = await openSandbox({ engine: "managed" });
  expect((await engine.list()).map(({ state }) => state)).toEqual(["running"]);
  await engine[Symbol.asyncDispose]();

  const stopped = spawnSync("node", [script("stop.mjs")], { env, encoding: "utf8" });
  expect([stopped.status, stopped.stderr]).toEqual([0, expect.stringContaining("All has ended")]);
  expect(existsSync(managedEngineSocket)).toBe(false);
  const ours = `${stateDir}|${managedEnginePaths.dataRoot}|${managedEnginePaths.runDirectory}/`;
  const left = spawnSync("pgrep", ["-af", ours]);
  expect(String(left.stdout)).toBe("");

  await npmStart(port);
  await page.reload();
  await labReady();
  await page.waitForSelector(".xterm-helper-textarea");
  await type("ls /root | sed s/^/found-/");
  await shows("found-kept");

  const again = spawnSync("node", [script("stop.mjs")], { env, encoding: "utf8" });
  expect([again.status, again.stderr]).toEqual([0, expect.stringContaining("All has ended")]);
  expect(await ended(server)).toBe(0);
});

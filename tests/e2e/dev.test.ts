/** An author at work: `npm run dev` in a copy of the checkout, a lesson and a grader edited, the page looked at. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { openSandbox } from "../../sandbox/open.ts";

const checkout = fileURLToPath(new URL("../..", import.meta.url));
// On the file system of the checkout, so that files can be linked.
const folder = mkdtempSync(join(dirname(resolve(checkout)), "pb-dev-"));
let env: NodeJS.ProcessEnv;
let dev: ChildProcess;
let printed = "";
let browser: Browser;
let page: Page;
let url: string;

function edit(file: string, before: string, after: string): void {
  const text = readFileSync(join(folder, file), "utf8");
  expect(text).toContain(before);
  writeFileSync(join(folder, file), text.replace(before, after));
}

beforeAll(async () => {
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: checkout,
    encoding: "utf8",
  });
  for (const file of files.split("\n").filter(Boolean)) {
    cpSync(join(checkout, file), join(folder, file), { recursive: true });
  }
  // Hard links, since Vite takes a linked folder for one outside of the project; its caches are its own.
  const modules = join(checkout, "node_modules");
  execFileSync("cp", ["--archive", "--link", modules, join(folder, "node_modules")]);
  for (const cache of [".cache", ".vite", ".astro"]) {
    rmSync(join(folder, "node_modules", cache), { recursive: true, force: true });
  }
  // Astro serves no pages where it thinks that vitest runs it.
  const { VITEST: _, ...machine } = process.env;
  const state = { PATCHBAY_STATE_DIR: join(folder, "state"), PATCHBAY_ENGINE: "managed" };
  env = { ...machine, ...state };
  dev = spawn("node", [join(folder, "scripts/dev.mjs"), "--port", "4398"], { env });
  for (const stream of [dev.stdout, dev.stderr]) {
    stream?.on("data", (chunk) => {
      printed += chunk;
    });
  }
  const ready = () => /Patchbay is at/.test(printed) && /watching for file changes/.test(printed);
  await vi.waitUntil(ready, { timeout: 60_000, interval: 200 }).catch((error) => {
    throw new Error(`npm run dev is not ready:\n${printed}`, { cause: error });
  });
  url = "http://127.0.0.1:4398/";
  browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    ],
  });
  page = await browser.newPage();
  // In this mode the page has the terminal's text; otherwise it is drawn.
  await page.addInitScript(() => localStorage.setItem("patchbay.terminal.screen-reader", "on"));
  page.setDefaultTimeout(30_000);
}, 300_000);

afterAll(async () => {
  await browser?.close();
  dev?.kill("SIGINT");
  if (dev?.exitCode === null) await new Promise((resolve) => dev.once("exit", resolve));
  await using engine = await openSandbox({ engine: "managed" });
  for (const { id } of await engine.list()) await engine.down(id);
  // Shells outlive the servers.
  spawnSync("node", [join(folder, "scripts/stop.mjs")], { env });
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

test("a lesson's change shows itself, and so does a grader's, while the shell lives on", async () => {
  await page.goto(`${url}iptables/`);
  await page.getByTestId("start-lab").click();
  await page.waitForSelector("pb-lab[data-state=ready]", { state: "attached" });
  const shell = page.locator(".xterm-helper-textarea").first();
  await shell.focus();
  await page.keyboard.type("kept=alive");
  await page.keyboard.press("Enter");

  const file = "content/lessons/en/iptables.mdx";
  edit(file, "\n## ", "\n## A heading just written\n\n## ");
  await page.getByRole("heading", { name: "A heading just written" }).waitFor();

  const listed = async () => {
    const answer = await page.request.get(`${url}api/exercises`).catch(() => undefined);
    return (await answer?.text().catch(() => "")) ?? "";
  };
  const { id, title } = (JSON.parse(await listed()) as { exercise: string; title: string }[])
    .map(({ exercise, title: named }) => ({ id: exercise, title: named }))
    .find((each) => each.id === "bridge/by-hand") ?? { id: "", title: "" };
  edit(`graders/exercises/${id}.ts`, title, "A title just written");
  await expect.poll(listed, { timeout: 30_000 }).toContain("A title just written");

  await page.reload();
  await page.waitForSelector("pb-lab[data-state=ready]", { state: "attached" });
  const shown = async () =>
    (await page.locator(".xterm-accessibility-tree > *").allTextContents()).join("\n");
  await expect
    .poll(
      async () => {
        await shell.focus();
        await page.keyboard.type("echo is-$kept");
        await page.keyboard.press("Enter");
        return shown();
      },
      { timeout: 30_000, interval: 3000 },
    )
    .toContain("is-alive");
});

test("Ctrl-C ends both servers", async () => {
  dev.kill("SIGINT");
  await new Promise((resolve) => (dev.exitCode === null ? dev.once("exit", resolve) : resolve(0)));
  const ours = `${folder}/.*(src/server/main.ts|astro.mjs)`;
  const left = spawnSync("pgrep", ["-af", ours], { encoding: "utf8" });
  expect(left.stdout).toBe("");
});

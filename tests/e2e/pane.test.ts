/** The lab's pane beside a lesson: commands, files, states; in a real browser, on real labs. */
import { fileURLToPath } from "node:url";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

/** With patience for a busy machine. */
const eventually = <T>(what: () => T | Promise<T>, { timeout = 15_000 } = {}) =>
  expect.poll(what, { timeout });

import { buildSite } from "../../scripts/dependencies.mjs";
import { axeFaults, complaintsOf, interactive, launchBrowser } from "../fixtures/browser.ts";
import { CourseServer } from "../fixtures/course-server.ts";

const siteDir = fileURLToPath(new URL("../../dist", import.meta.url));

let course: CourseServer;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  buildSite();
  course = await CourseServer.start({}, { siteDir });
  browser = await launchBrowser();
  context = await student();
}, 400_000);

afterAll(async () => {
  await browser?.close();
  await course?.[Symbol.asyncDispose]();
}, 60_000);

/** A browser of a student's own. */
async function student(width = 1360): Promise<BrowserContext> {
  const own = await browser.newContext({
    viewport: { width, height: 860 },
    permissions: ["clipboard-read", "clipboard-write"],
    hasTouch: width < 500,
  });
  // In this mode the page has the terminal's text; otherwise it is drawn.
  await own.addInitScript(() => localStorage.setItem("patchbay.terminal.screen-reader", "on"));
  return own;
}

/** The same address again: what a browser remembers belongs to it. */
const restart = (settings: Parameters<CourseServer["restart"]>[0] = {}) =>
  course.restart(settings, { siteDir, port: Number(new URL(course.url).port) });

/** All tests but those of states have one student, and so one lab. */
beforeEach(async () => {
  page = await context.newPage();
  page.setDefaultTimeout(15_000);
  // Once: a page also asks while the server is down.
  const { origin } = new URL(course.url);
  complaints = complaintsOf(page, () => origin);
  return () => page.close();
});

/** The lab runs, and its terminal is connected. Where it does not come to that, says what the pane says. */
async function ready(where: Page = page): Promise<void> {
  const told = () =>
    where.evaluate(() => {
      const { state, connection } = document.querySelector<HTMLElement>("pb-lab")?.dataset ?? {};
      const problem = document.querySelector(".lab-problem")?.textContent;
      return [state, connection, problem].filter(Boolean).join(" ");
    });
  await eventually(told, { timeout: 60_000 }).toBe("ready connected");
}

async function openLab(path: string, where: Page = page): Promise<void> {
  await where.goto(course.url + path);
  await interactive(where);
  const toLab = where.locator('.workspace-switch [data-pane="lab"]');
  if (await toLab.isVisible()) await toLab.click();
  // A lab that was open before opens by itself.
  const start = where.getByTestId("start-lab");
  if (await start.isVisible()) await start.click();
  await ready(where);
}

const labIdOf = (where: Page, lab: string) =>
  where.evaluate((name) => localStorage.getItem(`patchbay.lab.${name}`) ?? "", lab);
/** Runs a script on the page's lab host, as if typed. */
async function inLab(script: string, lab = "compose"): Promise<string> {
  const found = await course.engine.find(await labIdOf(page, lab));
  const { exitCode, stdout, stderr } = await found.host().capture(["bash", "-c", script]);
  expect(exitCode, stderr).toBe(0);
  return stdout;
}
const shows = (text: string | RegExp) =>
  expect
    .poll(
      async () =>
        (await page.locator(".xterm-accessibility-tree:visible > *").allTextContents()).join("\n"),
      { timeout: 20_000 },
    )
    .toMatch(text);
const type = async (text: string) => {
  await page.locator(".pb-terminal:visible .xterm-helper-textarea").focus();
  await page.keyboard.type(`${text}\n`);
};

describe("a command of the lesson", () => {
  test("is not typed while another one runs; Ctrl-C first is one press away", async () => {
    await openLab("compose/");
    await type("echo ready-$((6*7)); sleep 600");
    await shows("ready-42");
    const block = page.locator("pb-run").first();
    const told = block.locator(".run-told");
    await block.getByTestId("run").click();
    await expect
      .poll(() => told.textContent(), { timeout: 5_000 })
      .toMatch(/Terminal main shows no prompt/);
    await told.getByRole("button", { name: "Ctrl-C, then run" }).click();
    await expect
      .poll(() => told.textContent(), { timeout: 10_000 })
      .toBe("Typed into terminal main.");
    await shows("^C");
    expect(complaints).toEqual([]);
  });
});

describe("a file of the lab", () => {
  const state = () => page.locator(".pb-file:visible .pb-file-state").textContent();
  const problems = () => page.locator(".pb-file:visible .pb-file-problems li").allTextContents();
  const openFile = async (path: string) => {
    await page.getByRole("button", { name: "Files" }).click();
    const dialog = page.getByRole("dialog", { name: "Open a file" });
    await eventually(() => dialog.getByLabel("Path").inputValue()).toMatch(/^\/.*\/$/);
    await dialog.getByLabel("Path").fill(path);
    await page.keyboard.press("Enter");
    return dialog;
  };
  const text = () => page.locator(".pb-file:visible .cm-content");

  test("is made by keyboard alone, its mistakes are told by line, and Ctrl+S saves it", async () => {
    await openLab("compose/");
    await page.getByRole("button", { name: "Files" }).press("Enter");
    const dialog = page.getByRole("dialog", { name: "Open a file" });
    await eventually(() => dialog.getByLabel("Path").inputValue()).toBe("/root/");
    await page.keyboard.type("shop/compose.yaml\n");
    await eventually(state).toBe("New file, not saved yet");
    await page.keyboard.type("services:\n");
    // The editor indents by itself from here on.
    await page.keyboard.insertText("  web:\n    image: nginx\n    prots: ['80:80']\n");
    await expect
      .poll(problems)
      .toEqual(["Line 4 prots is no key of services.web. Did you mean ports?"]);
    expect(await axeFaults(page, { targets: true })).toEqual([]);
    await page.keyboard.press("Control+s");
    await eventually(state).toBe("Saved.");
    expect(await inLab("cat /root/shop/compose.yaml")).toBe(
      "services:\n  web:\n    image: nginx\n    prots: ['80:80']\n",
    );
    // Tab indents; Esc and then Tab leaves the text.
    await page.keyboard.press("Escape");
    await page.keyboard.press("Tab");
    expect(await text().evaluate((field) => field.contains(document.activeElement))).toBe(false);
  });

  test("follows what the terminal does with it, as long as nothing of one's own is lost by that", async () => {
    await openLab("compose/");
    await inLab("echo one > /root/notes");
    await openFile("/root/notes");
    await eventually(() => text().textContent()).toBe("one");
    await inLab("echo two > /root/notes");
    await eventually(() => text().textContent()).toBe("two");
    await text().click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("mine");
    await inLab("echo three > /root/notes");
    const banner = page.locator(".pb-file:visible .pb-file-banner");
    await eventually(() => banner.textContent()).toContain("you have changes of your own here");
    expect(await text().textContent()).toBe("twomine");
    await banner.getByRole("button", { name: "Compare" }).click();
    await eventually(() => page.locator(".cm-deletedChunk").textContent()).toContain("three");
    await page.keyboard.press("Control+s");
    expect(await inLab("cat /root/notes")).toBe("three\n");
    await banner.getByRole("button", { name: "Keep mine" }).click();
    await page.keyboard.press("Control+s");
    await eventually(state).toBe("Saved.");
    expect(await inLab("cat /root/notes")).toBe("two\nmine");
    await inLab("rm /root/notes");
    await eventually(() => banner.textContent()).toContain("was removed outside the editor");
    await page.keyboard.press("Control+s");
    await eventually(state).toBe("Saved.");
    expect(await inLab("cat /root/notes")).toBe("two\nmine");
  });

  test("comes back after a reload with what was not saved, and asks before it is lost", async () => {
    await openLab("compose/");
    await inLab("printf 'kept\\r\\nlines\\r\\n' > /root/draft");
    await openFile("/root/draft");
    await eventually(() => text().textContent()).toContain("kept");
    await text().click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("unsaved");
    await page.waitForFunction(() =>
      Object.entries(localStorage).some(
        ([key, value]) => key.endsWith("/root/draft") && /unsaved/.test(value),
      ),
    );
    await page.reload();
    const tab = page.getByRole("tab", { name: /draft/ });
    await tab.click({ timeout: 30_000 });
    await eventually(() => text().textContent()).toContain("unsaved");
    expect(await inLab("cat /root/draft")).not.toContain("unsaved");
    await tab.press("Delete");
    await page.getByRole("button", { name: "Go on editing" }).click();
    await tab.press("Delete");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await eventually(() => tab.count()).toBe(0);
    expect(await inLab("cat /root/draft")).toBe("kept\r\nlines\r\nunsaved");
  });

  test("that can't be edited is refused with a sentence, and hangs nothing", async () => {
    await openLab("compose/");
    await inLab(
      "cd /root && rm -rf odd && mkdir odd && mkfifo odd/pipe && truncate -s 9M odd/big && ln -s /etc/passwd odd/link",
    );
    const dialog = await openFile("/root/odd/pipe");
    const told = dialog.getByRole("status");
    await eventually(() => told.textContent()).toMatch(/no regular file/);
    await dialog.getByLabel("Path").fill("/root/odd/big");
    await page.keyboard.press("Enter");
    await eventually(() => told.textContent()).toMatch(/at most 256 KB/);
    await dialog.getByLabel("Path").fill("/root/odd/");
    await page.keyboard.press("Enter");
    const entry = (name: string) => dialog.getByRole("button", { name });
    await entry("pipe").waitFor();
    expect(await entry("link").isDisabled()).toBe(true);
    expect(await axeFaults(page, { targets: true })).toEqual([]);
    await page.keyboard.press("Escape");
  });
});

describe("on a screen of 360 pixels", () => {
  test("the terminal fits, keys that the keyboard lacks are there, and Run leads to the lab", async () => {
    await using narrow = await student(360);
    page = await narrow.newPage();
    page.setDefaultTimeout(15_000);
    await openLab("iptables/");
    const fits = () =>
      page.evaluate(() => {
        const screen = document.querySelector(".xterm-screen")?.getBoundingClientRect();
        return screen !== undefined && screen.width > 250 && screen.right <= innerWidth;
      });
    await eventually(fits).toBe(true);
    await page.getByRole("button", { name: "Menu" }).click();
    await page.getByLabel("Row of keys").check();
    expect(await axeFaults(page, { targets: true })).toEqual([]);
    await page.keyboard.press("Escape");
    await type("sleep 600");
    await page.getByRole("button", { name: "Ctrl", exact: true }).click();
    await page.keyboard.type("c");
    await shows("^C");
    await page.getByRole("button", { name: "Lesson", exact: true }).click();
    const block = page.locator("pb-run").first();
    await block.getByTestId("run").click();
    await block.getByRole("button", { name: "Show the lab" }).click();
    await page.locator("pb-lab").waitFor({ state: "visible" });
    await eventually(fits).toBe(true);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide).toBe(360);
  });
});

describe("the pane says what is the matter:", () => {
  /** Looked at in both languages and themes. */
  async function looksRight(path: string, selector: string, words: readonly [RegExp, RegExp]) {
    for (const [language, pattern] of [
      ["", words[0]],
      ["ru/", words[1]],
    ] as const) {
      await page.goto(course.url + language + path);
      const card = page.locator(selector);
      await card.waitFor({ timeout: 30_000 });
      expect(await card.textContent()).toMatch(pattern);
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await axeFaults(page, { targets: true })).toEqual([]);
      }
    }
  }

  test("a lab that is ready, in one or two lines at any width", async () => {
    for (const language of ["", "ru/"]) {
      await openLab(`${language}compose/`);
      for (const width of [1000, 1280, 1360, 1600, 1920]) {
        await page.setViewportSize({ width, height: 860 });
        const lines = await page.evaluate(() => {
          const parts = [
            ...document.querySelectorAll(".lab-bar :is(.lab-name, button, .lab-facts > *)"),
          ];
          const shown = parts.filter((part) => part.getClientRects().length > 0);
          const middles = shown.map((part) => {
            const { top, height } = part.getBoundingClientRect();
            return Math.round((top + height / 2) / 8);
          });
          return new Set(middles).size;
        });
        expect([language, width, lines]).toEqual([language, width, width < 1500 ? 2 : 1]);
      }
    }
  });

  test("a lab that is new, since the one that was there was removed", async () => {
    await openLab("veth/");
    const replaced = page.getByTestId("lab-replaced");
    expect(await replaced.isVisible()).toBe(false);
    await page.reload();
    await ready();
    expect(await replaced.isVisible()).toBe(false);

    const before = await labIdOf(page, "veth");
    await course.engine.down(before);
    await page.reload();
    await ready();
    expect(await labIdOf(page, "veth")).not.toBe(before);
    expect(await replaced.textContent()).toMatch(/was removed, with its files/);
    expect(await axeFaults(page)).toEqual([]);
    await replaced.getByRole("button").click();
    expect(await replaced.isVisible()).toBe(false);
    await page.reload();
    await ready();
    expect(await replaced.isVisible()).toBe(false);
  });

  test("a lab whose first process was killed, which is resumed with its files", async () => {
    await openLab("compose/");
    const id = await labIdOf(page, "compose");
    await inLab("echo kept > /root/kept; sync");
    const host = (await course.engine.find(id)).host();
    await host.capture(["kill", "-9", "1"]).catch(() => undefined);
    await host.capture(["bash", "-c", "kill -TERM 1"]).catch(() => undefined);
    await page.getByTestId("lab-stopped").waitFor({ timeout: 45_000 });
    expect(await page.getByTestId("lab-stopped").textContent()).toMatch(/The lab is stopped/);
    expect(await axeFaults(page, { targets: true })).toEqual([]);
    await page.getByTestId("resume-lab").click();
    await ready();
    expect(await inLab("cat /root/kept")).toBe("kept\n");
  });

  test("a reset, with what is lost, and a fresh lab after it", async () => {
    await openLab("compose/");
    await page.getByTestId("reset-lab").click();
    const dialog = page.getByRole("dialog", { name: "Reset the lab?" });
    expect(await dialog.textContent()).toMatch(/firewall rules/);
    await dialog.getByRole("button", { name: "Keep it" }).click();
    expect(await inLab("cat /root/kept")).toBe("kept\n");
    await page.getByTestId("reset-lab").click();
    await page.getByTestId("confirm-reset").click();
    await page.waitForSelector('pb-lab[data-state="starting"]');
    await ready();
    expect(await inLab("ls /root/kept 2>/dev/null | wc -l")).toBe("0\n");
  });

  test("a connection that is lost, and that is back", async () => {
    await openLab("compose/");
    await context.setOffline(true);
    await course.stop();
    const status = page.locator(".lab-status");
    await eventually(() => status.textContent(), { timeout: 30_000 }).toMatch(/Connection lost/);
    await context.setOffline(false);
    await course.restart({}, { siteDir, port: Number(new URL(page.url()).port) });
    await eventually(() => status.textContent(), { timeout: 30_000 }).toBe("ready");
    await type("echo back-$((6*7))");
    await shows("back-42");
  });

  test("a place in the line, by a new student on a full machine", async () => {
    await using other = await student();
    page = await other.newPage();
    await restart({ maxLabs: 1 });
    await page.goto(`${course.url}veth/`);
    await page.getByTestId("start-lab").click();
    await page.getByTestId("lab-waiting").waitFor();
    await looksRight("veth/", "[data-testid=lab-waiting]", [
      /You are number 1 in line/,
      /в очереди под номером 1/,
    ]);
    await restart();
  });

  test("a lab that stops for want of use, after a warning", async () => {
    await using other = await student();
    page = await other.newPage();
    page.setDefaultTimeout(15_000);
    await openLab("veth/");
    await restart({ idleMs: 1500 });
    await page.goto(`${course.url}veth/`);
    await ready();
    const stopped = page.getByTestId("lab-stopped");
    await eventually(
      async () => {
        await course.running.tidy();
        // What the page does when it comes to the front.
        await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
        return stopped.isVisible();
      },
      { timeout: 40_000 },
    ).toBe(true);
    expect(await stopped.textContent()).toMatch(/Nobody used it for a while/);
    expect(await axeFaults(page, { targets: true })).toEqual([]);
    await restart();
  });
});

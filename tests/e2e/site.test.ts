/** The pages of the course in a real browser: their looks' rules, search, questions, exercises and progress. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { exercises, inLanguage } from "../../graders/index.ts";
import { buildSite } from "../../scripts/dependencies.mjs";
import { parseQuizzes, type Quiz } from "../../src/course/quizzes.ts";
import { languages } from "../../src/i18n/language.ts";
import { siteText } from "../../src/i18n/site.ts";
import { axeFaults, complaintsOf, interactive, launchBrowser } from "../fixtures/browser.ts";
import { CourseServer } from "../fixtures/course-server.ts";

const checkout = fileURLToPath(new URL("../..", import.meta.url));
const siteDir = join(checkout, "dist");
const english = siteText({ currentLocale: "en" });
const russian = siteText({ currentLocale: "ru" });

let course: CourseServer;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

/** Addresses of all pages, without the first slash. */
const pages = () =>
  readdirSync(siteDir, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith("index.html"))
    .map((file) => file.replace(/index\.html$/, ""))
    .sort();
const lessonsOf = (prefix: string) =>
  pages().filter(
    (path) =>
      path.startsWith(prefix) &&
      readFileSync(join(siteDir, path, "index.html"), "utf8").includes("<pb-lab"),
  );

beforeAll(async () => {
  buildSite();
  course = await CourseServer.start({}, { siteDir });
  browser = await launchBrowser();
}, 900_000);

afterAll(async () => {
  await browser?.close();
  await course?.[Symbol.asyncDispose]();
}, 60_000);

/** Each test is a student of its own. */
beforeEach(async () => {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1360, height: 900 } });
  page = await context.newPage();
  page.setDefaultTimeout(15_000);
  complaints = complaintsOf(page, () => new URL(course.url).origin);
  return () => expect(complaints).toEqual([]);
});

const open = async (path: string) => {
  await page.goto(course.url + path);
  await page.waitForLoadState("networkidle");
};

describe("every page", () => {
  test("has no fault that axe knows, and fits, in both themes from 360 to 1360 pixels", async () => {
    const faults: string[] = [];
    const look = async (colorScheme: "light" | "dark") => {
      const own = await context.newPage();
      const told = complaintsOf(own, () => new URL(course.url).origin);
      await own.emulateMedia({ colorScheme });
      for (const path of [...pages(), "nowhere/", "ru/nowhere/"]) {
        await own.goto(course.url + path);
        await own.waitForLoadState("networkidle");
        for (const width of [360, 768, 1360]) {
          await own.setViewportSize({ width, height: 900 });
          const where = `/${path} ${colorScheme} ${width}`;
          for (const fault of await axeFaults(own, { targets: true }))
            faults.push(`${where} ${fault}`);
          const { wide, long } = await own.evaluate(() => {
            const { scrollWidth, clientWidth, scrollHeight, clientHeight } =
              document.documentElement;
            const hasLab = document.querySelector("pb-lab") !== null;
            return {
              wide: scrollWidth - clientWidth,
              long: hasLab ? scrollHeight - clientHeight : 0,
            };
          });
          if (wide > 0) faults.push(`${where} is ${wide} pixels wider than the window`);
          if (long > 0) faults.push(`${where} scrolls beside its panes, by ${long} pixels`);
        }
      }
      // The address that leads nowhere is answered with 404, which the browser tells.
      faults.push(...told.filter((each) => !/status of 404/.test(each)));
    };
    // Side by side: the sweep is as long as all other tests of this file.
    await Promise.all([look("light"), look("dark")]);
    expect(faults).toEqual([]);
  }, 600_000);

  test("says its language, its title, what it is about, and where its other language is", async () => {
    const titles = new Map<string, string>();
    for (const path of pages().filter((each) => !each.endsWith("404/"))) {
      const response = await fetch(course.url + path);
      const html = await response.text();
      await page.setContent(html.replaceAll(/<script[\s\S]*?<\/script>/g, ""), {
        waitUntil: "commit",
      });
      const said = await page.evaluate(() => ({
        lang: document.documentElement.lang,
        title: document.title,
        about: document.querySelector('meta[name="description"]')?.getAttribute("content") ?? "",
        canonical: document.querySelector('link[rel="canonical"]')?.getAttribute("href"),
        openGraph: [...document.querySelectorAll('meta[property^="og:"]')].map((meta) =>
          meta.getAttribute("property"),
        ),
        others: Object.fromEntries(
          [...document.querySelectorAll('link[rel="alternate"]')].map((link) => [
            link.getAttribute("hreflang"),
            link.getAttribute("href"),
          ]),
        ),
      }));
      const bare = path.replace(/^ru\//, "");
      expect(said.lang).toBe(path.startsWith("ru/") ? "ru" : "en");
      expect(said.about.length).toBeGreaterThan(20);
      expect(said.canonical).toBe(course.url + path);
      expect(said.others).toEqual({
        en: course.url + bare,
        ru: `${course.url}ru/${bare}`,
        "x-default": course.url + bare,
      });
      expect(said.openGraph).toEqual(
        expect.arrayContaining(["og:title", "og:description", "og:url", "og:locale"]),
      );
      expect(titles.get(said.title), `${path} has the title of another page`).toBeUndefined();
      titles.set(said.title, path);
    }
    const map = await (await fetch(`${course.url}sitemap-0.xml`)).text();
    for (const path of titles.values()) expect(map).toContain(`<loc>${course.url}${path}</loc>`);
    complaints.length = 0;
  });

  test("asks for less than 20 KB of compressed script before its lab opens", async () => {
    const sizes: Record<string, number> = {};
    for (const path of ["", ...lessonsOf("")]) {
      let bytes = 0;
      const bodies: Promise<void>[] = [];
      page.removeAllListeners("response");
      page.on("response", (response) => {
        if (response.request().resourceType() !== "script") return;
        bodies.push(
          response.body().then((body) => {
            bytes += gzipSync(body).length;
          }),
        );
      });
      await open(path);
      await Promise.all(bodies);
      const inline = await page.evaluate(() =>
        [...document.querySelectorAll("script:not([src]):not([type$=json])")]
          .map((script) => script.textContent)
          .join("\n"),
      );
      sizes[`/${path}`] = bytes + gzipSync(inline).length;
    }
    console.log("compressed script, bytes:", sizes);
    for (const [path, bytes] of Object.entries(sizes)) {
      expect(bytes, path).toBeLessThan(20 * 1024);
      expect(bytes, path).toBeGreaterThan(1024);
    }
  });
});

test("an address that leads nowhere is answered in its language, with 404", async () => {
  for (const [path, title] of [
    ["nowhere/", "This cable leads nowhere"],
    ["ru/nowhere/", "Этот кабель никуда не ведёт"],
  ] as const) {
    const response = await page.goto(course.url + path);
    expect(response?.status()).toBe(404);
    expect(await page.locator("h1").textContent()).toBe(title);
  }
  complaints = complaints.filter((each) => !/status of 404/.test(each));
});

test("what names its own address arrives whole, compressed or not", async () => {
  for (const path of ["robots.txt", "sitemap-0.xml", "", "ru/"]) {
    for (const encoding of ["identity", "gzip"]) {
      const response = await fetch(course.url + path, {
        headers: { "accept-encoding": encoding },
        signal: AbortSignal.timeout(3000),
      });
      const text = await response.text();
      expect(text).toContain(course.url);
      expect(text).not.toContain("patchbay.invalid");
    }
  }
});

describe("a page that is slow to come", () => {
  // Each as a visitor who is new: a browser foresees what fonts a site will ask for.
  test.for(["compose/", "ru/compose/"])(
    "is painted with the fonts of its text alone, and asks for all else afterwards: /%s",
    async (path) => {
      await page.setViewportSize({ width: 412, height: 823 });
      await open(path);
      await interactive(page);
      const asked = await page.evaluate(() => {
        const [paint] = performance.getEntriesByName("first-contentful-paint");
        const painted = paint?.startTime ?? 0;
        const all = performance.getEntriesByType("resource") as PerformanceResourceTiming[];
        // The sign of its tab is the browser's own business, and comes whenever it likes.
        const ours = all.filter(({ name }) => !name.endsWith("/favicon.svg"));
        const files = ours.map(({ name, startTime }) => ({ name, early: startTime < painted }));
        return {
          early: files.filter(({ early }) => early).map(({ name }) => name),
          late: files.filter(({ early }) => !early).map(({ name }) => name),
        };
      });
      expect(asked.early).not.toEqual([]);
      for (const file of asked.early) expect(file).toMatch(/sans-[a-z]+-wght-normal\.\S+\.woff2$/);
      expect(asked.late.join(" ")).toMatch(/mono-latin-400/);
      expect(asked.late.join(" ")).toMatch(/Run\.astro\S*\.js/);
    },
  );

  test("becomes what it is also in a browser that tells nothing of its paints", async () => {
    await page.addInitScript(() => {
      PerformanceObserver.prototype.observe = () => undefined;
    });
    await open("veth/");
    await interactive(page);
    expect(await page.evaluate(() => document.documentElement.dataset["fonts"])).toBe("all");
  });

  test("keeps what is pressed until its modules are there", async () => {
    const { promise: gate, resolve: letThrough } = Promise.withResolvers<void>();
    await page.route("**/_astro/*.js", async (route) => {
      await gate;
      await route.continue();
    });
    await page.goto(`${course.url}veth/`, { waitUntil: "commit" });
    const read = page.getByTestId("mark-read");
    await read.click();
    expect(await read.textContent()).toContain(english.lesson.read);
    letThrough();
    await expect.poll(() => read.textContent()).toContain(english.lesson.unread);
  });
});

test("a jump within a long lesson ends at its heading, also where nothing near was laid out before", async () => {
  await open("compose/");
  await interactive(page);
  const list = page.locator("pb-contents");
  const addresses = await list
    .locator("a")
    .evaluateAll((links) => links.map((link) => (link as HTMLAnchorElement).hash));
  for (const address of [addresses.at(-1), addresses[2], addresses.at(-2)]) {
    const link = list.locator(`a[href="${address}"]`);
    if (!(await link.isVisible())) await list.locator("summary").click();
    await link.click();
    // What moves it comes with the frames behind the jump.
    await setTimeout(500);
    const top = await page.evaluate(
      (hash) => document.getElementById(hash.slice(1))?.getBoundingClientRect().top,
      address ?? "",
    );
    expect(top).toBeGreaterThan(50);
    expect(top).toBeLessThan(200);
  }
});

test("the other language is one press away, on the same page", async () => {
  await open("veth/");
  await page.getByTestId("language").click();
  await page.waitForURL("**/ru/veth/");
  await page.getByTestId("language").click();
  await page.waitForURL((url) => url.pathname === "/veth/");
});

test("colours follow the system until one chooses, and then the choice", async () => {
  const theme = () => page.evaluate(() => document.documentElement.dataset["theme"]);
  await page.emulateMedia({ colorScheme: "light" });
  await open("");
  expect(await theme()).toBe("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await expect.poll(theme).toBe("dark");
  await page.getByTestId("theme").selectOption("light");
  expect(await theme()).toBe("light");
  await open("glossary/");
  expect(await theme()).toBe("light");
  await page.getByTestId("theme").selectOption("auto");
  expect(await theme()).toBe("dark");
});

describe("search", () => {
  const search = async (term: string) => {
    await page.keyboard.press("Control+k");
    await page.locator("dialog[open] input").fill(term);
    const found = page.locator("dialog[open] .search-results a");
    await found.first().waitFor();
    return found;
  };

  test("finds words of both languages in any form, each among its own pages", async () => {
    await open("");
    for (const address of await hrefs(await search("namespace"))) {
      expect(address).not.toMatch(/^\/ru\//);
    }
    await open("ru/");
    // Neither form stands in the index: it has their stem.
    const found = await hrefs(await search("пространствами"));
    expect(found).toContain("/ru/namespaces/");
    for (const address of found) expect(address).toMatch(/^\/ru\//);
  });

  test("is walked by keyboard, and leads to the page", async () => {
    await open("ru/veth/");
    await search("пространство");
    expect(await axeFaults(page)).toEqual([]);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    const target = await page.evaluate(() => document.activeElement?.getAttribute("href"));
    expect(target).toMatch(/^\/ru\//);
    await page.keyboard.press("Enter");
    await page.waitForURL(course.url.slice(0, -1) + target);
  });

  test("says so where nothing is found, and gives the focus back", async () => {
    await open("");
    await page.getByTestId("search").focus();
    await page.keyboard.press("Enter");
    await page.keyboard.type("ъъъъ");
    const status = page.locator("dialog[open] [role=status]");
    await expect.poll(() => status.textContent()).toBe("Nothing found for “ъъъъ”.");
    await page.keyboard.press("Escape");
    expect(await page.evaluate(() => document.activeElement?.className)).toContain("search-open");
  });

  const hrefs = (links: Locator) =>
    links.evaluateAll((all) => all.map((link) => link.getAttribute("href") ?? ""));
});

describe("a question", () => {
  const all = () =>
    readdirSync(join(checkout, "content/quizzes")).flatMap((file) =>
      parseQuizzes(file, readFileSync(join(checkout, "content/quizzes", file), "utf8")).map(
        (quiz) => ({ quiz, lesson: file.replace(/\.yaml$/, "") }),
      ),
    );

  /** Answers rightly with nothing but keys. */
  async function answer(place: Locator, quiz: Quiz): Promise<void> {
    const press = (key: string) => page.keyboard.press(key);
    if (quiz.kind === "one") {
      await place.locator("input").first().focus();
      await press("Space");
      const right = quiz.options.findIndex((option) => option.right);
      for (let at = 0; at < right; at += 1) await press("ArrowDown");
    } else if (quiz.kind === "many") {
      await place.locator("input").first().focus();
      for (const option of quiz.options) {
        if (option.right) await press("Space");
        await press("Tab");
      }
    } else if (quiz.kind === "order") {
      for (const [index] of quiz.items.entries()) {
        const items = place.locator("li");
        const order = await items.evaluateAll((list) =>
          list.map((item) => Number(item.dataset["item"])),
        );
        const from = order.indexOf(index);
        await items.nth(from).locator('[data-move="-1"]').focus();
        for (let at = from; at > index; at -= 1) await press("Enter");
        expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("BUTTON");
      }
    } else if (quiz.kind === "match") {
      for (const select of await place.locator("select").all()) {
        const row = select.locator("xpath=ancestor::li");
        const wanted = await row.getAttribute("data-item");
        const options = await select
          .locator("option")
          .evaluateAll((list) => list.map((option) => (option as HTMLOptionElement).value));
        await select.focus();
        for (let at = 0; at < options.indexOf(wanted ?? ""); at += 1) await press("ArrowDown");
      }
    } else {
      await place.locator("input").focus();
      await page.keyboard.type(quiz.accept[0] ?? "");
    }
    await place.getByTestId("quiz-answer").focus();
    await press("Enter");
  }

  const kinds = ["one", "many", "order", "match", "text"] as const;
  for (const kind of kinds) {
    test(`of the kind ${kind} is answered by keyboard, judged, kept, and the same in both languages`, async () => {
      const found = all().find(
        ({ quiz }) =>
          quiz.kind === kind && (quiz.kind !== "text" || /^[\w-]+$/.test(quiz.accept[0] ?? "")),
      );
      if (found === undefined) throw new Error(`The course has no question of the kind ${kind}.`);
      const { quiz, lesson } = found;
      const place = page.locator(`pb-quiz[data-quiz="${lesson}/${quiz.id}"]`);
      const verdict = place.getByTestId("quiz-verdict");
      await open(`${lesson}/`);

      await place.getByTestId("quiz-answer").click();
      if (kind === "order") {
        expect(await verdict.textContent()).toContain("in the right place");
        expect(await place.getAttribute("data-state")).toBe("wrong");
        expect(await place.locator("details").getAttribute("open")).toBeNull();
      } else {
        expect(await verdict.textContent()).toMatch(/first\.$/);
        expect(await place.locator("details").isVisible()).toBe(false);
      }

      const stored = page.waitForResponse(
        (response) =>
          response.url().endsWith(`/api/progress/quizzes/${lesson}/${quiz.id}`) &&
          response.request().method() === "PUT" &&
          response.request().postDataJSON().right,
      );
      await answer(place, quiz);
      expect(await verdict.textContent()).toBe("Right.");
      expect(await place.locator("details p").isVisible()).toBe(true);
      expect(await axeFaults(page)).toEqual([]);
      expect((await stored).ok()).toBe(true);

      await open(`ru/${lesson}/`);
      await expect.poll(() => verdict.textContent()).toBe(russian.client.quiz.right);
      expect(await place.getAttribute("data-state")).toBe("right");
    });
  }

  test("that is answered wrongly says why, and can be answered anew", async () => {
    const found = all().find(
      ({ quiz }) => quiz.kind === "one" && quiz.options.some(({ right, why }) => !right && why),
    );
    if (found?.quiz.kind !== "one") throw new Error("No question says why an option is wrong.");
    const { quiz, lesson } = found;
    await open(`${lesson}/`);
    const place = page.locator(`pb-quiz[data-quiz="${lesson}/${quiz.id}"]`);
    const wrong = quiz.options.findIndex(({ right, why }) => !right && why);
    await place.locator("input").nth(wrong).check();
    await place.getByTestId("quiz-answer").click();
    const items = place.locator("li");
    expect(await items.nth(wrong).getAttribute("data-mark")).toBe("wrong");
    expect(await items.nth(wrong).locator(".quiz-why").isVisible()).toBe(true);
    await place
      .locator("input")
      .nth(quiz.options.findIndex(({ right }) => right))
      .check();
    expect(await items.nth(wrong).locator(".quiz-why").isVisible()).toBe(false);
    expect(await place.getByTestId("quiz-verdict").textContent()).toBe("");
  });
});

test("a term says what it means by key and by pointer, and lets go again", async () => {
  await open("namespaces/");
  const term = page.locator("pb-term").first();
  const card = term.locator("[popover]");
  await term.locator("button").focus();
  await page.keyboard.press("Enter");
  await card.waitFor();
  expect(await axeFaults(page)).toEqual([]);
  await page.keyboard.press("Tab");
  const link = await page.evaluate(() => document.activeElement?.getAttribute("href"));
  expect(link).toMatch(/^\/glossary\/#/);
  await page.keyboard.press("Escape");
  await card.waitFor({ state: "hidden" });
  expect(await page.evaluate(() => document.activeElement?.className)).toContain("term");

  await page.locator("h1").click();
  await term.locator("button").hover();
  await card.waitFor();
  // The pointer may move into the card, and it stays.
  await card.hover();
  await page.waitForTimeout(600);
  expect(await card.isVisible()).toBe(true);
  await page.locator("h1").hover();
  await card.waitFor({ state: "hidden" });
  await page.goto(course.url + (link ?? "").slice(1));
  expect(await page.locator("dl > div:target dt").isVisible()).toBe(true);
});

test("hints show one by one, a solution after asking twice, and both stay shown", async () => {
  await open("namespaces/");
  const hints = page.locator("pb-hints").first();
  const shown = () => hints.locator(".hint:visible").count();
  expect(await shown()).toBe(0);
  await hints.getByTestId("next-hint").focus();
  await page.keyboard.press("Enter");
  expect(await shown()).toBe(1);
  const solution = page.locator("pb-solution").first();
  const lock = solution.getByTestId("solution-lock");
  expect(await solution.getByTestId("solution").isVisible()).toBe(false);
  await lock.getByRole("button", { name: english.solution.ask }).click();
  await lock.getByRole("button", { name: english.solution.no }).click();
  expect(await solution.getByTestId("solution").isVisible()).toBe(false);
  await lock.getByRole("button", { name: english.solution.ask }).click();
  await lock.getByRole("button", { name: english.solution.yes }).click();
  expect(await solution.getByTestId("solution").isVisible()).toBe(true);
  expect(await axeFaults(page)).toEqual([]);

  await open("ru/namespaces/");
  expect(await shown()).toBe(1);
  expect(await solution.getByTestId("solution").isVisible()).toBe(true);
});

describe("progress", () => {
  const read = () => page.getByTestId("mark-read");
  const jack = (where: string, lesson: string) =>
    page.locator(`${where} [data-jack][data-lesson="${lesson}"]`);

  test("of a lesson that was read shows in the menu and on the map, and goes to another browser as a file", async () => {
    await open("veth/");
    const stored = page.waitForResponse((response) =>
      response.url().endsWith("/api/progress/lessons/veth"),
    );
    await read().click();
    expect((await stored).ok()).toBe(true);
    await page.getByTestId("course-menu-button").click();
    expect(await jack("#course-menu", "veth").getAttribute("data-state")).toBe("begun");
    expect(await jack("#course-menu", "namespaces").getAttribute("data-state")).toBe("empty");
    expect(await axeFaults(page)).toEqual([]);

    await open("");
    expect(await jack("#map", "veth").getAttribute("data-state")).toBe("begun");
    expect(await jack("#map", "veth").textContent()).toContain("begun");
    expect(await page.locator("pb-progress [data-count=lessons]").textContent()).toBe("1");
    expect(await page.getByTestId("start-course").textContent()).toContain("Go on:");
    const download = page.waitForEvent("download");
    await page.getByTestId("export").click();
    const file = await (await download).path();

    const other = await (await browser.newContext()).newPage();
    await other.goto(`${course.url}ru/`);
    await interactive(other);
    await other.getByTestId("import-file").setInputFiles(file);
    const told = other.getByTestId("progress-told");
    await expect.poll(() => told.textContent()).toContain("Новое здесь: уроки — 1");
    await expect
      .poll(() => other.locator('#map [data-jack][data-lesson="veth"]').getAttribute("data-state"))
      .toBe("begun");
    await other.getByTestId("import-file").setInputFiles(file);
    await expect.poll(() => told.textContent()).toBe(russian.client.progress.nothing);
    await other.context().close();

    await open("veth/");
    expect(await read().textContent()).toContain(english.lesson.unread);
    await read().click();
    expect(await read().textContent()).toContain(english.lesson.read);
    await expect
      .poll(
        async () => (await (await page.request.get(`${course.url}api/progress`)).json()).lessons,
      )
      .toEqual({});
  });

  test("of a file that holds none is refused in words", async () => {
    await open("");
    const give = (name: string, text: string) =>
      page
        .getByTestId("import-file")
        .setInputFiles({ name, mimeType: "application/json", buffer: Buffer.from(text) });
    const told = page.getByTestId("progress-told");
    await give("photo.json", "\u0089PNG");
    await expect.poll(() => told.textContent()).toContain("“photo.json” is no progress file");
    await give("other.json", '{"lessons":7}');
    await expect.poll(() => told.getAttribute("data-status")).toBe("failed");
    await expect.poll(() => told.textContent()).not.toContain("photo.json");
    expect((await told.textContent())?.length).toBeGreaterThan(20);
    complaints = complaints.filter((each) => !/status of 400/.test(each));
  });

  test("goes on without a server that keeps it, and says so", async () => {
    await page.route("**/api/progress**", (route) => route.fulfill({ status: 404, body: "" }));
    await open("veth/");
    await read().click();
    expect(await read().textContent()).toContain(english.lesson.unread);
    await open("");
    expect(await page.locator("[data-unkept]").isVisible()).toBe(true);
    complaints = complaints.filter((each) => !/status of 404/.test(each));
  });

  test("marks a lesson as read by itself when its end is reached", async () => {
    await page.clock.install();
    await open("veth/");
    await page.clock.runFor(60_000);
    expect(await read().textContent()).toContain(english.lesson.read);
    await page.locator("pb-read").scrollIntoViewIfNeeded();
    await expect.poll(() => read().textContent()).toContain(english.lesson.unread);
  });
});

/** The lab that this student opened, once it runs. */
async function labOfPage() {
  await page.waitForSelector("pb-lab[data-state=ready]", { state: "attached", timeout: 30_000 });
  const id = await page.evaluate(() => {
    const lab = document.querySelector<HTMLElement>("pb-lab")?.dataset["lab"];
    return localStorage.getItem(`patchbay.lab.${lab}`);
  });
  return course.engine.find(id ?? "");
}

test("a port of the lab opens in a new tab once the lab runs", async () => {
  await open("iptables/");
  const link = page.locator("pb-port").first();
  const button = link.getByTestId("port-link");
  expect(await button.getAttribute("aria-disabled")).toBe("true");
  expect(await link.locator("[role=status]").textContent()).toBe(english.port.locked);
  await page.getByTestId("start-lab").click();
  const lab = await labOfPage();
  const port = await link.getAttribute("data-port");
  const run = ["docker", "run", "-d", "-p", `${port}:80`, "nginx"];
  expect(await lab.host().exec(run)).toBe(0);
  await expect.poll(() => button.getAttribute("aria-disabled")).toBe("false");
  const opened = context.waitForEvent("page");
  await button.click();
  const tab = await opened;
  await expect.poll(() => tab.locator("body").textContent()).toContain("nginx");
  await expect
    .poll(() => link.locator("[role=status]").textContent())
    .toBe(english.client.port.opened);
});

test("an answer is handed in to the lab, and is there again after a reload", async () => {
  await open("veth/");
  const place = page.locator("pb-answer");
  await place.getByTestId("answer").fill("veth1234");
  await place.getByRole("button").click();
  expect(await place.locator("[role=status]").textContent()).toBe(english.client.answer.startFirst);
  await page.getByTestId("start-lab").click();
  const lab = await labOfPage();
  await place.getByTestId("answer").press("Enter");
  await expect
    .poll(() => place.locator("[role=status]").textContent())
    .toBe(english.client.answer.saved);
  const written = ["grep", "-qx", "veth1234", "/root/veth/find-host-peer/answer"];
  expect(await lab.host().exec(written)).toBe(0);
  await open("ru/veth/");
  await labOfPage();
  await expect.poll(() => place.getByTestId("answer").inputValue()).toBe("veth1234");
});

test("an exercise asks for the lab, is judged in it, opens its solution when solved, and is known afterwards", async () => {
  const exercise = exercises.find(({ id }) => id === "namespaces/create-netns");
  if (exercise === undefined) throw new Error("The exercise is gone.");
  await open("namespaces/");
  const place = page.locator(`pb-check[data-exercise="${exercise.id}"]`);
  const button = place.getByTestId("check-button");
  const status = () => place.getAttribute("data-status");
  await button.click();
  await place.getByRole("button", { name: english.client.check.start }).click();
  const lab = await labOfPage();
  await button.click();
  await expect.poll(status, { timeout: 30_000 }).toBe("failed");
  expect(await place.getByTestId("check-result").count()).toBe(exercise.checks.length);
  expect(await place.locator('[data-status="failed"] dt').first().textContent()).toBe("Expected");
  expect(await axeFaults(page)).toEqual([]);

  // From here on, it turns green by itself.
  await place.getByTestId("check-auto").check();
  const script = exercise.solutions[0]?.script;
  expect(await lab.host().exec(["sh", "-ec", String(script)])).toBe(0);
  await expect.poll(status, { timeout: 30_000 }).toBe("passed");
  const solution = page.locator(`pb-solution[data-exercise="${exercise.id}"]`);
  expect(await solution.first().getByTestId("solution").isVisible()).toBe(true);

  await open("ru/namespaces/");
  expect(await place.getByTestId("check-auto").isChecked()).toBe(true);
  await expect.poll(status).toBe("passed");
  // What was graded on the English page is told in Russian here.
  const [first] = exercise.checks;
  expect(await place.locator(".check-what").first().textContent()).toBe(
    inLanguage(first?.title ?? "", "ru"),
  );
  expect(await place.getByTestId("check-verdict").textContent()).toContain(
    russian.client.check.solved,
  );
  await page.getByTestId("course-menu-button").click();
  const jacks = page.locator(`#course-menu [data-exercise="${exercise.id}"]`);
  expect(await jacks.getAttribute("data-state")).toBe("done");
});

test("a lesson on paper has its text and commands, and nothing that one presses", async () => {
  await open("namespaces/");
  await page.emulateMedia({ media: "print" });
  for (const selector of [
    "header.rail button",
    "pb-lab",
    ".workspace-switch",
    "pb-hints",
    "pb-solution",
    ".run-bar button",
    "pb-check button",
    "pb-quiz [type=submit]",
    ".foot",
  ]) {
    expect(await page.locator(selector).locator("visible=true").count(), selector).toBe(0);
  }
  const blocks = page.locator("pb-run:not(pb-solution *) pre").locator("visible=true");
  expect(await blocks.count()).toBeGreaterThan(5);
  // All of it, not only what fits the window.
  const { lesson, text } = await page.evaluate(() => ({
    lesson: document.querySelector(".workspace-lesson")?.clientHeight ?? 0,
    text: document.querySelector("main")?.scrollHeight ?? 1e9,
  }));
  expect(lesson).toBeGreaterThanOrEqual(text);
});

test("every language has every page", () => {
  const [first, ...others] = languages.map((language) =>
    pages()
      .filter((path) => path.startsWith("ru/") === (language === "ru"))
      .map((path) => path.replace(/^ru\//, ""))
      .filter((path) => path !== "404/"),
  );
  for (const other of others) expect(other).toEqual(first);
});

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AstroIntegration } from "astro";
import { LAB_KEY } from "../lab/remembered-lab.ts";

const MODULE = /<script type="module" src="([^"]+)"><\/script>/g;
/** What is painted first is styled in the page itself; these are for paper, and fonts that can wait. */
const STYLESHEET = /<link rel="stylesheet" href="([^"]+)"(?: media="([^"]+)")?\s*\/?>/g;

/** So long after the page was read, all is asked for in any case. */
const LATEST_MS = 2000;

interface Stylesheet {
  readonly href: string;
  readonly media: string;
}

/**
 * Runs in the page, as text. Modules run in their order. A press of a button in an element whose module is still on its
 * way is kept, and done when it is there. Whoever has a lab open came for that, and gets its modules at once.
 */
const loader = (stylesheets: readonly Stylesheet[], modules: readonly string[]) => `
const early = [];
const keep = ({ target }) => {
  const button = target.closest("button");
  if (button?.closest(":not(:defined)")) early.push(button);
};
addEventListener("click", keep, true);
const add = (name, properties) => {
  const element = Object.assign(document.createElement(name), properties);
  document.head.append(element);
  return new Promise((resolve) => { element.onload = element.onerror = resolve; });
};
let asked = false;
const load = async () => {
  if (asked) return;
  asked = true;
  document.documentElement.dataset.fonts = "all";
  for (const sheet of ${JSON.stringify(stylesheets)}) add("link", { rel: "stylesheet", ...sheet });
  await Promise.all(${JSON.stringify(modules)}.map((src) => add("script", { type: "module", async: false, src })));
  removeEventListener("click", keep, true);
  for (const button of early) button.click();
  document.documentElement.dataset.interactive = "";
};
const isOpen = () => {
  const lab = document.querySelector("pb-lab")?.dataset.lab;
  try {
    return lab !== undefined && localStorage.getItem(${JSON.stringify(LAB_KEY)} + lab) !== null;
  } catch {
    return false;
  }
};
if (isOpen() || document.hidden) load();
else {
  const painted = (paints) => paints.getEntriesByName("first-contentful-paint").length > 0 && load();
  new PerformanceObserver(painted).observe({ type: "paint", buffered: true });
  // A browser that hides its times from pages says nothing of paints.
  setTimeout(load, ${LATEST_MS});
}
`;

/** A page whose stylesheets and modules are behind its first paint. */
export function afterPaint(html: string): string {
  const stylesheets = [...html.matchAll(STYLESHEET)].map(([, href = "", media = "all"]) => ({
    href,
    media,
  }));
  const modules = [...html.matchAll(MODULE)].map(([, address = ""]) => address);
  const script = loader(stylesheets, modules).replace(/\n\s*/g, "\n").trim();
  const links = html.match(STYLESHEET)?.join("") ?? "";
  return html
    .replace(STYLESHEET, "")
    .replace(MODULE, "")
    .replace("</head>", () => `<noscript>${links}</noscript></head>`)
    .replace("</body>", () => `<script type="module">${script}</script></body>`);
}

/**
 * What a reader sees first is text, and no script makes it. Modules in the page would share a slow line with its fonts;
 * so they are asked for when the text stands. Must come before what reads the pages' inline scripts.
 */
export function loadAfterPaint(): AstroIntegration {
  return {
    name: "load-after-paint",
    hooks: {
      "astro:build:done": async ({ dir }) => {
        const folder = fileURLToPath(dir);
        const files = await readdir(folder, { recursive: true });
        for (const file of files.filter((name) => name.endsWith(".html"))) {
          const path = join(folder, file);
          await writeFile(path, afterPaint(await readFile(path, "utf8")));
        }
      },
    },
  };
}

// `npm run lighthouse`: what Lighthouse says of lessons of a course that runs, as a table; the median of three runs.
// `npm run lighthouse -- http://127.0.0.1:4321/ namespaces/ ru/overlay/` asks another server, for other pages.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pinnedNode } from "./dependencies.mjs";

// Not a dependency: 176 MB for a tool that is asked now and then.
const LIGHTHOUSE = "lighthouse@13.5.0";
const RUNS = 3;
const categories = ["performance", "accessibility", "best-practices", "seo"];
const metrics = [
  ["LCP", "largest-contentful-paint"],
  ["TBT", "total-blocking-time"],
  ["CLS", "cumulative-layout-shift"],
];

const [address = "http://127.0.0.1:4321/", ...paths] = process.argv.slice(2);
const pages = paths.length > 0 ? paths : ["", "namespaces/", "ru/namespaces/", "ru/compose/"];
const chromium = "/usr/bin/chromium";
const folder = mkdtempSync(join(tmpdir(), "pb-lighthouse-"));

function measure(url, form, attempts = 3) {
  const file = join(folder, "report.json");
  const args = [
    ...["exec", "--yes", "--", LIGHTHOUSE, url, "--quiet"],
    ...["--output=json", `--output-path=${file}`],
    `--only-categories=${categories.join(",")}`,
    "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
    ...(form === "desktop" ? ["--preset=desktop"] : []),
  ];
  const { status, stderr } = spawnSync("npm", args, {
    encoding: "utf8",
    env: {
      ...process.env,
      // Lighthouse runs on the pinned Node, whichever is first on the path.
      PATH: `${join(pinnedNode, "..")}:${process.env.PATH}`,
      ...(existsSync(chromium) && { CHROME_PATH: chromium }),
    },
  });
  // Now and then it misses the start of a load, and says so.
  if (status !== 0 && attempts > 1 && stderr.includes("run Lighthouse again"))
    return measure(url, form, attempts - 1);
  if (status !== 0) {
    console.error(`${stderr}\nLighthouse did not get to ${url}. Does the course run there?`);
    process.exit(2);
  }
  return JSON.parse(readFileSync(file, "utf8"));
}

const score = (report, category) => Math.round((report.categories[category]?.score ?? 0) * 100);
let complete = true;
try {
  console.log(
    ["page".padEnd(24), "form   ", ...categories, "", ...metrics.map(([name]) => name)].join("  "),
  );
  for (const page of pages) {
    for (const form of ["mobile", "desktop"]) {
      const reports = Array.from({ length: RUNS }, () => measure(address + page, form));
      reports.sort((a, b) => score(a, "performance") - score(b, "performance"));
      const median = reports[Math.floor(RUNS / 2)];
      const scores = categories.map((category) => score(median, category));
      complete &&= scores.every((each) => each === 100);
      const shown = metrics.map(([, id]) => median.audits[id].displayValue.replace(/\s/g, " "));
      const cells = scores.map((each, index) => String(each).padStart(categories[index].length));
      console.log([`/${page}`.padEnd(24), form.padEnd(7), ...cells, "", ...shown].join("  "));
      for (const category of categories) {
        for (const { id, weight } of median.categories[category].auditRefs) {
          const { score: own, title } = median.audits[id];
          if (weight > 0 && own !== null && own < 0.9) console.log(`    ${category}: ${title}`);
        }
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(complete ? 0 : 1);

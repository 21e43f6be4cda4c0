// `npm test`: everything from nothing, then every suite. Ends with `N passed, N failed`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  buildSite,
  installDependencies,
  installPackages,
  pinnedNode,
  root,
  run,
} from "./dependencies.mjs";

installDependencies();
installPackages("chromium", ["chromium"]);
installPackages("dockerd", ["docker.io"]);
installPackages("mmdebstrap", ["mmdebstrap"]);
// Servers that tests start serve it.
buildSite();

// As vitest.config.ts has it. What fails here is told by the first suite that needs it.
const name = process.env.PATCHBAY_TEST_ENGINE ?? "test-engine";
const preparation = spawn(pinnedNode, ["scripts/prepare-test-engine.mjs"], {
  cwd: root,
  stdio: "inherit",
  env: {
    ...process.env,
    PATCHBAY_ENGINE_DATA: `/var/lib/patchbay/${name}`,
    PATCHBAY_ENGINE_RUN: `/run/patchbay-${name}`,
  },
});
const prepared = once(preparation, "exit");

let passed = 0;
let failed = 0;
const count = (ok) => {
  if (ok) passed += 1;
  else failed += 1;
};

console.log("\nLint and format");
count(run(pinnedNode, ["node_modules/@biomejs/biome/bin/biome", "check", "."]) === 0);
console.log("\nContent");
count(run(pinnedNode, ["src/authoring/main.ts"]) === 0);
console.log("\nTypes");
// Astro's check also writes the types of the content, which the compiler needs.
const astroCheck = [
  "node_modules/astro/bin/astro.mjs",
  "check",
  "--minimumFailingSeverity",
  "warning",
];
count(run(pinnedNode, astroCheck) === 0);
count(run(pinnedNode, ["node_modules/typescript/bin/tsc", "--noEmit"]) === 0);

const results = mkdtempSync(join(tmpdir(), "patchbay-results-"));
try {
  for (const project of ["unit", "contract", "lab", "lessons", "e2e"]) {
    const folder = join(root, "tests", project);
    const files = existsSync(folder) ? readdirSync(folder, { recursive: true }) : [];
    if (!files.some((file) => String(file).endsWith(".test.ts"))) continue;
    if (project !== "unit") await prepared;
    console.log(`\nTests: ${project}`);
    const outputFile = join(results, `${project}.json`);
    const exitCode = run(pinnedNode, [
      "node_modules/vitest/vitest.mjs",
      "run",
      `--project=${project}`,
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${outputFile}`,
    ]);
    const report = existsSync(outputFile)
      ? JSON.parse(readFileSync(outputFile, "utf8"))
      : { numPassedTests: 0, numFailedTests: 0 };
    passed += report.numPassedTests;
    failed += report.numFailedTests;
    // A suite that crashed before its first test reports no failed test; it failed all the same.
    if (exitCode !== 0 && report.numFailedTests === 0) failed += 1;
  }
} finally {
  rmSync(results, { recursive: true, force: true });
}

console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

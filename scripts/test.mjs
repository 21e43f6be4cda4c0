// `npm test`: everything from nothing, then every suite. Ends with `N passed, N failed`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
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
/** What failed, to be said once more at the end: there is much output after the first failure. */
const failures = [];
const step = (title, args) => {
  console.log(`\n${title}`);
  if (run(pinnedNode, args) === 0) passed += 1;
  else failures.push(title);
};

step("Lint and format", ["node_modules/@biomejs/biome/bin/biome", "check", "."]);
step("Content", ["src/authoring/main.ts"]);
// Astro's check also writes the types of the content, which the compiler needs.
const astroCheck = [
  "node_modules/astro/bin/astro.mjs",
  "check",
  "--minimumFailingSeverity",
  "warning",
];
step("Types of the site", astroCheck);
step("Types of the rest", ["node_modules/typescript/bin/tsc", "--noEmit"]);

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
      : { numPassedTests: 0, testResults: [] };
    passed += report.numPassedTests;
    const failedTests = report.testResults.flatMap((file) =>
      failuresOf(relative(root, file.name), file),
    );
    failures.push(...failedTests);
    // A suite that crashed before its first test reports no failed test; it failed all the same.
    if (exitCode !== 0 && failedTests.length === 0)
      failures.push(`${project}: it ended with ${exitCode}`);
  }
} finally {
  rmSync(results, { recursive: true, force: true });
}

if (failures.length > 0)
  console.log(`\nFailed:\n${failures.map((text) => `- ${text}`).join("\n")}`);
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;

/** The failed tests of a file in vitest's JSON report, each with its first lines of the reason. */
function failuresOf(path, file) {
  const tests = file.assertionResults.filter((test) => test.status === "failed");
  if (tests.length === 0 && file.status === "failed")
    return [`${path}: ${shortened(file.message)}`];
  return tests.map(
    (test) => `${path}: ${test.fullName}\n${shortened(test.failureMessages.join("\n"))}`,
  );
}

function shortened(reason) {
  const lines = stripVTControlCharacters(reason).split("\n");
  const more = lines.length > 12 ? ["…"] : [];
  return [...lines.slice(0, 12), ...more].map((line) => `    ${line.slice(0, 300)}`).join("\n");
}

// `npm test`: everything from nothing, then every suite. Ends with `N passed, N failed`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import {
  buildSite,
  installDependencies,
  installPackages,
  pinnedNode,
  root,
} from "./dependencies.mjs";

installDependencies();
installPackages("chromium", ["chromium"]);
installPackages("dockerd", ["docker.io"]);
installPackages("mmdebstrap", ["mmdebstrap"]);
// Servers that tests start serve it.
buildSite();

// All that the tests write for a while lies there, and whatever they start has it in its environment: so both are found
// also where a suite was cut off. Keepers of terminals outlive their servers by design.
const temporary = mkdtempSync(join(tmpdir(), "pb-"));
chmodSync(temporary, 0o1777);

/** What runs now: a signal that ends this process ends it first. */
const children = new Set();
let interrupted;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    interrupted ??= signal;
    // A terminal's Ctrl-C reaches them itself; a kill of this process alone does not.
    if (signal === "SIGINT" && process.stdin.isTTY) return;
    for (const child of children) child.kill(signal);
  });
}

/** Runs a program of the checkout with its output shown; resolves with its exit code. */
async function run(args, env = {}) {
  const child = spawn(pinnedNode, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ASTRO_TELEMETRY_DISABLED: "1", TMPDIR: temporary, ...env },
  });
  children.add(child);
  const [code] = await once(child, "exit");
  children.delete(child);
  return code ?? 1;
}

// As vitest.config.ts has it. What fails here is told by the first suite that needs it.
const name = process.env.PATCHBAY_TEST_ENGINE ?? "test-engine";
const testEngine = (command) =>
  run(["scripts/managed-test-engine.mjs", command], {
    PATCHBAY_ENGINE_DATA: `/var/lib/patchbay/${name}`,
    PATCHBAY_ENGINE_RUN: `/run/patchbay-${name}`,
  });
const prepared = testEngine("prepare");

let passed = 0;
/** What failed, to be said once more at the end: there is much output after the first failure. */
const failures = [];
async function step(title, args) {
  if (interrupted !== undefined) return;
  console.log(`\n${title}`);
  if ((await run(args)) === 0) passed += 1;
  else failures.push(title);
}

await step("Lint and format", ["node_modules/@biomejs/biome/bin/biome", "check", "."]);
await step("Content", ["src/authoring/main.ts"]);
// Astro's check also writes the types of the content, which the compiler needs.
const astroCheck = [
  "node_modules/astro/bin/astro.mjs",
  "check",
  "--minimumFailingSeverity",
  "warning",
];
await step("Types of the site", astroCheck);
await step("Types of the rest", ["node_modules/typescript/bin/tsc", "--noEmit"]);

const results = mkdtempSync(join(temporary, "results-"));
try {
  for (const project of ["unit", "contract", "lab", "lessons", "e2e"]) {
    const folder = join(root, "tests", project);
    const files = existsSync(folder) ? readdirSync(folder, { recursive: true }) : [];
    if (!files.some((file) => String(file).endsWith(".test.ts"))) continue;
    if (project !== "unit") await prepared;
    if (interrupted !== undefined) break;
    console.log(`\nTests: ${project}`);
    const outputFile = join(results, `${project}.json`);
    const exitCode = await run([
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
  await prepared;
  // Also where a suite was interrupted, or died: its labs are still there.
  await testEngine("end");
  await endLeftBehind();
  rmSync(temporary, { recursive: true, force: true });
}

if (failures.length > 0)
  console.log(`\nFailed:\n${failures.map((text) => `- ${text}`).join("\n")}`);
if (interrupted !== undefined) console.log(`\nEnded by ${interrupted} before all tests had run.`);
console.log(`\n${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;
if (interrupted !== undefined) process.exitCode = 128 + constants.signals[interrupted];

/** Ends what still runs and has the tests' folder in its environment; looks in Linux's /proc, and elsewhere nowhere. */
async function endLeftBehind() {
  const isOurs = (pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(temporary);
    } catch {
      return false; // Gone, or another user's.
    }
  };
  const left = () =>
    existsSync("/proc/self/environ")
      ? readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isOurs(name))
      : [];
  for (const signal of ["SIGTERM", "SIGKILL"]) {
    for (const pid of left()) {
      try {
        process.kill(Number(pid), signal);
      } catch {
        // It has just ended by itself.
      }
    }
    for (let waited = 0; waited < 20 && left().length > 0; waited += 1) await setTimeout(100);
  }
}

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

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Another name lets two checkouts on one machine test side by side. */
const engine = process.env["PATCHBAY_TEST_ENGINE"] ?? "test-engine";

const project = (name: string, testTimeout: number) => ({
  resolve: {
    alias: { "patchbay/graders": fileURLToPath(new URL("./graders/kit.ts", import.meta.url)) },
  },
  test: {
    name,
    include: [`tests/${name}/**/*.test.ts`],
    testTimeout,
    hookTimeout: testTimeout,
    // What is waited for takes as long as it takes: a busy machine changes no verdict.
    expect: { poll: { timeout: 15_000 } },
    env: {
      PATCHBAY_ENGINE_DATA: `/var/lib/patchbay/${engine}`,
      PATCHBAY_ENGINE_RUN: `/run/patchbay-${engine}`,
    },
    // Two cores are shared by real shells, engines and browsers: files run one after another.
    fileParallelism: false,
  },
});

export default defineConfig({
  test: {
    projects: [
      project("unit", 30_000),
      project("contract", 120_000),
      project("lab", 300_000),
      project("lessons", 320_000),
      project("e2e", 300_000),
    ],
  },
});

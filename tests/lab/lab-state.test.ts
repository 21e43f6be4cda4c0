/** What a lab is compared by before and after a grading. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { settledState } from "../../graders/core/lab-state.ts";
import type { Lab, SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";

let engine: SandboxEngine;
let lab: Lab;

beforeAll(async () => {
  engine = await openSandbox({ engine: "managed" });
  lab = await engine.up({ topology: "bridge", name: "lab-state" });
}, 400_000);

afterAll(async () => {
  if (lab !== undefined) await engine.down(lab.id);
  await engine?.[Symbol.asyncDispose]();
}, 60_000);

test("is settled once a server that is still starting listens, though nothing else changes meanwhile", async () => {
  const starting = "i=0; while [ $i -lt 900000 ]; do i=$((i+1)); done; exec nc -ll -p 7777 -e cat";
  const { exitCode, stderr } = await lab
    .host()
    .capture(["docker", "run", "-d", "--network", "none", "busybox", "sh", "-c", starting]);
  expect(exitCode, stderr).toBe(0);
  const state = await settledState(lab, { restarts: false });
  expect(state.join("\n")).toMatch(/"port": 7777/);
});

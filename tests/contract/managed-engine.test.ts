import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureManagedEngine, stopManagedEngine } from "../../sandbox/docker/managed-engine.ts";

let folder: string;
let paths: { dataRoot: string; runDirectory: string };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "patchbay-engine-"));
  // The mapped root walks through it.
  chmodSync(folder, 0o711);
  paths = { dataRoot: join(folder, "data"), runDirectory: join(folder, "run") };
});

afterAll(async () => {
  await stopManagedEngine(paths);
  rmSync(folder, { recursive: true, force: true });
});

function get(socketPath: string, path: string): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path }, async (response) => {
      resolve(JSON.parse((await response.toArray()).join("")));
    })
      .on("error", reject)
      .end();
  });
}

test("starts an engine of its own with user namespaces, over a stale pid file and socket", async () => {
  mkdirSync(paths.runDirectory, { recursive: true });
  writeFileSync(join(paths.runDirectory, "docker.pid"), String(process.pid));
  writeFileSync(join(paths.runDirectory, "docker.sock"), "");
  const socketPath = await ensureManagedEngine(paths);
  const info = await get(socketPath, "/info");
  expect(info["SecurityOptions"]).toContain("name=userns");
  expect(String(info["DockerRootDir"])).toContain(paths.dataRoot);
});

test("finds the engine that runs instead of starting another", async () => {
  const socketPath = await ensureManagedEngine(paths);
  const before = await get(socketPath, "/info");
  expect(await ensureManagedEngine(paths)).toBe(socketPath);
  expect((await get(socketPath, "/info"))["ID"]).toBe(before["ID"]);
});

test("stops it, and leaves no socket, no pid file and no mount", async () => {
  // As an engine leaves them: its own network namespace always, layers of containers where it was killed.
  const namespace = join(paths.runDirectory, "exec", "netns", "default");
  const layer = join(paths.dataRoot, "a layer of a container", "merged");
  mkdirSync(join(namespace, ".."), { recursive: true });
  mkdirSync(layer, { recursive: true });
  writeFileSync(namespace, "");
  execFileSync("mount", ["--bind", "/proc/self/ns/net", namespace]);
  execFileSync("mount", ["--bind", layer, layer]);
  await stopManagedEngine(paths);
  expect(readFileSync("/proc/self/mounts", "utf8")).not.toContain(folder);
  expect(existsSync(join(paths.runDirectory, "docker.sock"))).toBe(false);
  expect(existsSync(join(paths.runDirectory, "docker.pid"))).toBe(false);
  await stopManagedEngine(paths);
});

// The engine of the tests, run by the pinned Node: `prepare` starts it and builds the images of its labs; `end` ends it
// with all labs that are left on it.
import { existsSync } from "node:fs";
import { progressLines } from "../sandbox/cli/progress.ts";
import { managedEngineSocket } from "../sandbox/docker/managed-engine.ts";
import { openSandbox, stopSandbox } from "../sandbox/open.ts";

async function prepare() {
  const progress = progressLines();
  await using engine = await openSandbox({ engine: "managed", onProgress: progress.step });
  await engine.prepare(progress.step).finally(progress.done);
}

async function end() {
  if (!existsSync(managedEngineSocket)) return;
  {
    await using engine = await openSandbox({ engine: "managed" });
    for (const { id } of await engine.list()) await engine.down(id);
  }
  await stopSandbox("managed");
}

await (process.argv[2] === "end" ? end() : prepare());

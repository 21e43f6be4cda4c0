// Runs a TypeScript program under the pinned Node: in this process where it is that Node already,
// else in a child that gets this one's signals and gives it its exit code.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as nodeModule from "node:module";
import { constants } from "node:os";
import { pathToFileURL } from "node:url";
import { pinnedNode, root } from "./dependencies.mjs";

const cache = `${root}node_modules/.cache/patchbay/compiled`;

export async function runPinned(program) {
  if (Number(process.versions.node.split(".")[0]) >= 24) {
    // A third of a short command's time goes into reading its modules.
    nodeModule.enableCompileCache(cache);
    await import(pathToFileURL(program).href);
    return;
  }
  if (!existsSync(pinnedNode)) {
    console.error("The dependencies are not installed yet. Run npm start or npm test once.");
    process.exit(3);
  }
  const child = spawn(pinnedNode, [program, ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    // A terminal's Ctrl-C reaches the child itself; a kill of this process alone does not.
    process.on(signal, () => (signal === "SIGINT" && process.stdin.isTTY) || child.kill(signal));
  }
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + constants.signals[signal];
  });
}

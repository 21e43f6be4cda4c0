/**
 * A keeper: the process that owns the PTYs of one lab. It is started detached by a gateway, which
 * it outlives, and ends by itself when its last terminal was closed.
 *
 * Arguments: the path of its unix socket, the path of its lock.
 */
import { rmSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { DatabaseSync } from "node:sqlite";
import { Keeper } from "./keeper.ts";

/** A second keeper for the same lab ends with this; the first one serves. */
const alreadyKept = 3;

const [socketPath, lockPath] = process.argv.slice(2);
if (socketPath === undefined || lockPath === undefined) {
  console.error("usage: main.ts SOCKET LOCK");
  process.exit(2);
}

// Node has no flock. SQLite's lock is one that the kernel lets go of however this process ends, and
// whoever holds it knows that a socket file still there is stale.
const lock = new DatabaseSync(lockPath, { timeout: 0 });
try {
  lock.exec("PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE");
} catch (error) {
  if (error instanceof Error && /locked/.test(error.message)) process.exit(alreadyKept);
  throw error;
}

function end(code: number): never {
  rmSync(socketPath as string, { force: true });
  process.exit(code);
}

rmSync(socketPath, { force: true });
const keeper = new Keeper(() => end(0));
// The operator's Ctrl-C and the end of their login are for the server, not for the shells.
process.on("SIGINT", () => undefined);
process.on("SIGHUP", () => undefined);
process.on("SIGTERM", () => keeper.shutDown());
await keeper.listen(socketPath);
// Otherwise it is written at the end of the process, which may be weeks away.
flushCompileCache();

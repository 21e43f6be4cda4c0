// `npm start`: everything from nothing, then serves the course. Options go to src/server/main.ts.
import { spawnSync } from "node:child_process";
import { buildSite, installDependencies, installPackages, root } from "./dependencies.mjs";
import { runPinned } from "./run-pinned.mjs";

const args = process.argv.slice(2);

/** Whether the machine's own engine is asked for, or is all that can be used. */
function hasOwnEngine() {
  const position = args.findIndex((arg) => arg === "--engine" || arg.startsWith("--engine="));
  const wanted =
    position === -1
      ? process.env.PATCHBAY_ENGINE
      : (args[position].split("=")[1] ?? args[position + 1]);
  if (wanted !== undefined) return wanted !== "managed";
  if (process.platform !== "linux") return true;
  return spawnSync("docker", ["info"], { stdio: "ignore", timeout: 10_000 }).status === 0;
}

const needsEngine = !args.some((arg) => arg === "--help" || arg === "-h") && !hasOwnEngine();
if (needsEngine && process.getuid?.() !== 0) {
  const shown = ["sudo npm start", ...(args.length > 0 ? ["--", ...args] : [])].join(" ");
  console.error(
    `No Docker engine answers, and starting one needs root. Run: ${shown}\nOr start an engine that you may use, and name it: npm start -- --engine unix:///var/run/docker.sock`,
  );
  process.exit(3);
}
installDependencies();
if (needsEngine) installPackages("dockerd", ["docker.io"]);
// Only root can make a root filesystem with it; for everyone else a container of Debian's image does.
const debian = spawnSync("apt-get", ["--version"], { stdio: "ignore" }).status === 0;
if (debian && process.getuid?.() === 0) installPackages("mmdebstrap", ["mmdebstrap"]);
buildSite();
await runPinned(`${root}src/server/main.ts`);

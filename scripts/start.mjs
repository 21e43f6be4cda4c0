// `npm start`: everything from nothing, then serves the course. Options go to src/server/main.ts.
import { spawnSync } from "node:child_process";
import { becomePinned, buildSite, installDependencies, installPackages } from "./dependencies.mjs";

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

installDependencies();
const wantsHelp = args.includes("--help") || args.includes("-h");
if (process.platform === "linux" && !wantsHelp) {
  if (!hasOwnEngine()) installPackages("dockerd", ["docker.io"]);
  // Makes the lab host's root filesystem; where it is missing, Debian's image from a registry does.
  if (spawnSync("apt-get", ["--version"], { stdio: "ignore" }).status === 0) {
    installPackages("mmdebstrap", ["mmdebstrap"]);
  }
}
buildSite();
becomePinned("src/server/main.ts", args);

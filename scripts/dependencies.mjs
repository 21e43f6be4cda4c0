// Runs on any Node >= 20 with nothing installed: brings the npm dependencies and the pinned Node.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
export const pinnedNode = `${root}node_modules/node/bin/node`;

/** Runs a command in the checkout with its output shown; returns its exit code. */
export function run(file, args, env = {}) {
  const { status, error } = spawnSync(file, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ASTRO_TELEMETRY_DISABLED: "1", ...env },
  });
  if (error) console.error(`${file} could not be started: ${error.message}`);
  return status ?? 1;
}

/** Installs what package-lock.json names, unless this very lock file is installed already. */
export function installDependencies() {
  const lock = createHash("sha256")
    .update(readFileSync(`${root}package-lock.json`))
    .digest("hex");
  const stamp = `${root}node_modules/.patchbay-stamp`;
  if (existsSync(pinnedNode) && existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  console.log("Installing the npm dependencies and the pinned Node (about a minute) …");
  // Not `npm ci`: it refuses a lock file made where a registry, as a closed network's may, lacks the
  // optional packages of other platforms. `--no-save` keeps to the locked versions and writes nothing.
  const install = ["install", "--no-save", "--no-fund", "--no-audit", "--loglevel=error"];
  if (run("npm", install) !== 0) {
    console.error(
      "npm install failed: the lines above say why. Mend that and run the command again.",
    );
    process.exit(1);
  }
  if (run(pinnedNode, ["-e", "require('node-pty')"]) !== 0) {
    console.error(
      "node-pty was not built. It needs a C++ compiler, make and python3: apt-get install -y build-essential python3",
    );
    process.exit(1);
  }
  writeFileSync(stamp, lock);
}

/** Installs Debian packages unless `command` is there; says what to run where it may not. */
export function installPackages(command, packages) {
  if (spawnSync("sh", ["-c", `command -v ${command}`]).status === 0) return;
  const wanted = ["install", "-y", "--no-install-recommends", ...packages];
  const asRoot = process.getuid?.() === 0 ? [] : ["sudo"];
  console.log(`Installing ${packages.join(", ")} from Debian …`);
  const apt = (args) => {
    const [file, ...rest] = [...asRoot, "apt-get", ...args];
    return run(file, rest, { DEBIAN_FRONTEND: "noninteractive" });
  };
  if (apt(["-qq", "update"]) !== 0 || apt(["-qq", ...wanted]) !== 0) {
    console.error(`This needs root. Run: sudo apt-get ${wanted.join(" ")}`);
    process.exit(1);
  }
}

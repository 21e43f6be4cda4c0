// Runs on any Node >= 20 with nothing installed: brings the npm dependencies and the pinned Node.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
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
  if (existsSync(pinnedNode) && existsSync(stamp) && readFileSync(stamp, "utf8") === lock) {
    linkCommands();
    return;
  }
  console.log("Installing the npm dependencies and the pinned Node (about a minute) …");
  // Not `npm ci`: it refuses a lock file made where a registry, as a closed network's may, lacks the
  // optional packages of other platforms. `--no-save` keeps to the locked versions and writes nothing.
  // `--include=dev`: where NODE_ENV is production, npm would leave out what the tests need.
  const install = [
    "install",
    "--no-save",
    "--include=dev",
    "--no-fund",
    "--no-audit",
    "--loglevel=error",
  ];
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
  linkCommands();
  writeFileSync(stamp, lock);
}

/** `npx patchbay` and `npx graders` look in node_modules/.bin, where npm puts other packages' commands only. */
function linkCommands() {
  for (const file of readdirSync(`${root}bin`)) {
    const link = `${root}node_modules/.bin/${basename(file, ".mjs")}`;
    if (existsSync(link)) continue;
    rmSync(link, { force: true });
    symlinkSync(join("..", "..", "bin", file), link);
  }
}

/** Every file under a path of the checkout, in a fixed order. */
function filesUnder(path) {
  const full = `${root}${path}`;
  if (statSync(full).isFile()) return [full];
  return readdirSync(full, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

/**
 * The caller's environment for Astro, without what would make it build pages for another purpose: those for
 * development have no search. Variables stand in for those of `import.meta.env`, whoever set them.
 */
export function astroEnvironment(purpose) {
  const { DEV: _, PROD: __, MODE: ___, SSR: ____, BASE_URL: _____, ...rest } = process.env;
  return { ...rest, NODE_ENV: purpose, ASTRO_TELEMETRY_DISABLED: "1" };
}

/** Builds the site into dist/ unless it was built from these very sources. */
export function buildSite() {
  const hash = createHash("sha256");
  const sources = [
    ...["content", "public", "src", "astro.config.mjs", "package.json", "package-lock.json"],
    // Which labs a lesson may name.
    "sandbox/topologies",
  ];
  for (const source of sources) {
    for (const file of filesUnder(source)) hash.update(file).update(readFileSync(file));
  }
  const digest = hash.digest("hex");
  const stamp = `${root}node_modules/.cache/patchbay/site`;
  const current = existsSync(stamp) && readFileSync(stamp, "utf8") === digest;
  if (current && existsSync(`${root}dist/index.html`)) return;
  console.error("  Building the site …");
  const startMs = performance.now();
  const { status, stdout, stderr } = spawnSync(
    pinnedNode,
    ["node_modules/astro/bin/astro.mjs", "build"],
    {
      cwd: root,
      encoding: "utf8",
      env: astroEnvironment("production"),
    },
  );
  if (status !== 0) {
    console.error(`${stdout}${stderr}\nThe site was not built: the lines above say why.`);
    process.exit(1);
  }
  console.error(`  The site is built  ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  mkdirSync(`${root}node_modules/.cache/patchbay`, { recursive: true });
  writeFileSync(stamp, digest);
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

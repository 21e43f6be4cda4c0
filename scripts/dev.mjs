// `npm run dev`: for who writes lessons, graders or the site. A page shows a change as soon as it is saved; the
// course server starts again when a grader or a part of it changes, and labs and their shells live on.
// Options go to the course server; `--port` is Astro's.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { parseArgs } from "node:util";
import {
  astroEnvironment,
  buildSite,
  installDependencies,
  installPackages,
  pinnedNode,
  root,
} from "./dependencies.mjs";

const { values, tokens } = parseArgs({
  options: { port: { type: "string", default: "4321" } },
  strict: false,
  tokens: true,
});
const isPort = (token) => token.kind === "option" && token.name === "port";
const at = tokens.find(isPort);
const args = process.argv.slice(2);
if (at !== undefined) args.splice(at.index, at.inlineValue ? 1 : 2);

installDependencies();
installPackages("dockerd", ["docker.io"]);
installPackages("mmdebstrap", ["mmdebstrap"]);
// What the course server serves to whoever asks it by its own address, and where sessions come from.
buildSite();

const free = await new Promise((resolve) => {
  const probe = createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});
const address = `http://127.0.0.1:${values.port}/`;
const options = { cwd: root, stdio: "inherit" };
const course = spawn(
  pinnedNode,
  [
    "--watch",
    "--watch-preserve-output",
    "src/server/main.ts",
    "--port",
    `${free}`,
    "--public-url",
    address,
    ...args,
  ],
  options,
);
const astro = [
  "node_modules/astro/bin/astro.mjs",
  "dev",
  "--host",
  "127.0.0.1",
  "--port",
  `${values.port}`,
];
const site = spawn(pinnedNode, astro, {
  ...options,
  env: {
    ...astroEnvironment("development"),
    PATCHBAY_COURSE: `http://127.0.0.1:${free}`,
  },
});
const end = (signal) => {
  for (const child of [course, site]) child.kill(signal);
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => end(signal));
for (const child of [course, site]) {
  child.on("exit", (code) => {
    process.exitCode ??= code ?? 0;
    end("SIGTERM");
  });
}

/** `npm start` ends here, under the pinned Node: opens the engine and serves the course. */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { exercisesWith } from "../../graders/index.ts";
import {
  chosenEngine,
  chosenPlugins,
  exitCodes,
  openEngine,
  rememberEngine,
  runCommandLine,
  stateDirectory,
  UsageError,
} from "../../sandbox/cli/command-line.ts";
import { StorageError } from "./database.ts";
import { claimPidFile } from "./pid-file.ts";
import type { PortRange } from "./ports/port-links.ts";
import { ServeError, serve } from "./serve.ts";

const usage = `
Usage: npm start -- [options]

  --port N               port to listen on; default 4321
  --host NAME            address to listen on; default 127.0.0.1
  --engine managed|unix:///…|tcp://…
                         the engine that labs run on; default: the best that is there
  --plugin DIR           a folder with exercises and labs of its own (also PATCHBAY_PLUGINS)
  --egress none|nat      whether labs reach the world outside; default none
  --public-url URL       address that a proxy before the server has
  --ports FIRST-LAST     ports that links to ports of labs listen on; default: whatever is free
  --ports-url URL        address of such a link, with {port} for its number; default: the course's, with that port
  --max-labs N           labs that may run at once; default by the machine's memory
  --warm N               labs that wait ready for whoever comes next; default 1
  --idle-minutes N       a lab that nobody uses for so long is stopped, and keeps its files; default 120
  --keep-days N          a lab that nobody used for so long is removed; default 14
`;

function whole(value: string, name: string, max: number): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number <= max) return number;
  throw new UsageError(`--${name} ${value}: give a whole number from 0 to ${max}.`);
}

function portRange(value: string): PortRange {
  const [, first, last] = /^(\d{1,5})-(\d{1,5})$/.exec(value) ?? [];
  const range = { first: Number(first), last: Number(last) };
  if (range.first > 0 && range.first <= range.last && range.last <= 65_535) return range;
  throw new UsageError(`--ports ${value}: give the first and the last one, like 4400-4499.`);
}

function portsUrl(value: string): string {
  const url = URL.parse(value.replaceAll("{port}", "4400"));
  const web = url !== null && ["http:", "https:"].includes(url.protocol);
  if (web && value.includes("{port}") && url.href === `${url.origin}/`) return value;
  throw new UsageError(
    `--ports-url ${value}: give an address without a path, with {port} in it, like https://p{port}.labs.example.org/`,
  );
}

await runCommandLine(usage, async (args, signal) => {
  const { values } = parseArgs({
    args,
    options: {
      port: { type: "string", default: "4321" },
      host: { type: "string", default: "127.0.0.1" },
      engine: { type: "string" },
      egress: { type: "string" },
      plugin: { type: "string", multiple: true },
      "public-url": { type: "string" },
      ports: { type: "string" },
      "ports-url": { type: "string" },
      "max-labs": { type: "string" },
      warm: { type: "string", default: "1" },
      "idle-minutes": { type: "string", default: "120" },
      "keep-days": { type: "string", default: "14" },
    },
  });
  const port = whole(values.port, "port", 65_535);
  const maxLabs = values["max-labs"];
  const publicUrl =
    values["public-url"] === undefined ? undefined : URL.parse(values["public-url"]);
  const web = publicUrl === undefined || ["http:", "https:"].includes(publicUrl?.protocol ?? "");
  if (publicUrl === null || !web || (publicUrl && publicUrl.href !== `${publicUrl.origin}/`)) {
    throw new UsageError(
      `--public-url ${values["public-url"]}: give an address without a path, like https://course.example.org/`,
    );
  }
  const wanted = values.engine ?? process.env["PATCHBAY_ENGINE"];
  rememberEngine(wanted);
  const plugins = chosenPlugins(values.plugin);
  const exercises = await exercisesWith(plugins);
  await using engine = await openEngine(chosenEngine(wanted), { egress: values.egress, plugins });
  const { name, version, isolation, isolationMeaning } = await engine.describe();
  process.stderr.write(
    `  Engine: ${name}, ${version}. Isolation: ${isolation}. ${isolationMeaning}\n`,
  );
  try {
    await using server = await serve({
      engine,
      host: values.host,
      port,
      publicUrl,
      ports: values.ports === undefined ? undefined : portRange(values.ports),
      portsUrl: values["ports-url"] === undefined ? undefined : portsUrl(values["ports-url"]),
      siteDir: fileURLToPath(new URL("../../dist", import.meta.url)),
      stateDir: stateDirectory,
      exercises,
      settings: {
        ...(maxLabs !== undefined && { maxLabs: whole(maxLabs, "max-labs", 10_000) }),
        warmLabs: whole(values.warm, "warm", 100),
        idleMs: whole(values["idle-minutes"], "idle-minutes", 100_000) * 60_000,
        keepMs: whole(values["keep-days"], "keep-days", 10_000) * 24 * 3_600_000,
      },
    });
    using _pidFile = claimPidFile(stateDirectory);
    process.stdout.write(`\nPatchbay is at ${server.url}\n`);
    process.stderr.write(
      "Ctrl-C ends the server and leaves labs as they are; npm stop ends all.\n",
    );
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    process.stderr.write("\nThe server ends. Labs and their shells go on; npm stop ends them.\n");
  } catch (error) {
    if (error instanceof ServeError) {
      process.stderr.write(`error ${error.message}\n`);
      return exitCodes.usage;
    }
    if (!(error instanceof StorageError)) throw error;
    process.stderr.write(`error ${error.message} ${error.fix}\n`);
    return exitCodes.broken;
  }
  return exitCodes.passed;
});

// `npm run bench [-- NAME…]`: runs each file of bench/, or those named, under the pinned Node.
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { buildSite, installDependencies, pinnedNode, root, run } from "./dependencies.mjs";

installDependencies();
buildSite();

const names = readdirSync(`${root}bench`)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => basename(file, ".ts"));
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`No benchmark ${unknown.join(", ")}. There are: ${names.join(", ")}.`);
  process.exit(2);
}
for (const name of wanted.length > 0 ? wanted : names) {
  console.log(`\n${name}`);
  if (run(pinnedNode, [`bench/${name}.ts`]) !== 0) process.exitCode = 1;
}

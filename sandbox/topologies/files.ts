import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Topology } from "./schema.ts";

/** A shell script that lays the text files of a folder, with its folders, out at a path of the lab host. */
function writeFiles({ folder, target }: Topology["files"][number]): string {
  const root = fileURLToPath(folder);
  const names = readdirSync(root, { recursive: true }).map(String).sort();
  const files = names.filter((name) => statSync(join(root, name)).isFile());
  const folders = new Set(files.map((name) => dirname(join(target, name))));
  return [
    `mkdir -p ${[...folders].join(" ")}`,
    ...files.map((name) => {
      const text = readFileSync(join(root, name), "utf8").replace(/\n$/, "");
      return `cat > ${join(target, name)} <<'PATCHBAY_FILE'\n${text}\nPATCHBAY_FILE`;
    }),
  ].join("\n");
}

/** The shell script that root runs on the first host before a lab is handed out; empty where there is nothing to do. */
export const setupScript = ({ files, setup }: Topology): string =>
  [...files.map(writeFiles), ...(setup === "" ? [] : [setup])].join("\n");

import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** A shell script that lays the text files of a folder, with its folders, out at a path of the lab host. */
export function writeFiles(folder: URL, target: string): string {
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

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { pipSettings } from "../../../sandbox/docker/pip-settings.ts";

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "patchbay-home-"));
});
afterEach(() => rmSync(home, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(home, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

const of = (environment: NodeJS.ProcessEnv) => {
  const { variables, files } = pipSettings(environment, home);
  // This machine's own configuration may be there as well.
  return { variables, files: files.filter(({ from }) => from.startsWith(home)) };
};

test("a recipe's pip is told by the variables that this machine's pip is told by", () => {
  const { variables } = of({
    PIP_INDEX_URL: "https://user:secret@example.org/simple",
    PIP_TRUSTED_HOST: "example.org",
    https_proxy: "http://proxy:3128",
    PIP_CACHE_DIR: "/somewhere",
    HOME: home,
  });
  expect(variables).toEqual(["PIP_INDEX_URL", "PIP_TRUSTED_HOST", "https_proxy"]);
});

test("its files go along, the user's to where root has its own", () => {
  const user = write(".config/pip/pip.conf", "[global]\nindex-url = https://example.org/simple\n");
  expect(of({}).files).toEqual([{ from: user, to: "/root/.config/pip/pip.conf" }]);
  const other = write("other.conf", "[global]\n");
  expect(of({ PIP_CONFIG_FILE: other }).files).toEqual([
    { from: other, to: "/root/.config/pip/pip.conf" },
  ]);
});

test("a certificate goes along, whoever names it", () => {
  const certificate = write("registry.crt", "certificate");
  const same = { from: certificate, to: certificate };
  expect(of({ PIP_CERT: certificate }).files).toEqual([same]);
  const user = write(".config/pip/pip.conf", `[global]\ncert = ${certificate}\n`);
  expect(of({}).files).toEqual([{ from: user, to: "/root/.config/pip/pip.conf" }, same]);
  expect(of({ PIP_CERT: join(home, "gone.crt") }).files).toHaveLength(2);
});

import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** What pip on this machine goes by, for a pip in a container: https://pip.pypa.io/en/stable/topics/configuration/ */
export interface PipSettings {
  /** Names of variables of this process's environment that the container gets too. Their values may be secrets. */
  readonly variables: readonly string[];
  /** Files that the container needs, at the paths that it needs them at. */
  readonly files: readonly { readonly from: string; readonly to: string }[];
}

/** Paths of this machine mean nothing in a container; nor do choices of how pip talks. */
const LOCAL =
  /^PIP_(CACHE_DIR|CONFIG_FILE|TARGET|PREFIX|ROOT|USER|REQUIRE_VIRTUALENV|LOG|VERBOSE|QUIET|FIND_LINKS)$/;
/** A certificate of a proxy or of a registry of one's own, as pip and what it is built on know it. */
const CERTIFICATES = ["PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"];

export function pipSettings(environment = process.env, home = homedir()): PipSettings {
  const system = "/etc/pip.conf";
  const user = "/root/.config/pip/pip.conf";
  const configurations = [
    { from: system, to: system },
    { from: join(home, ".pip", "pip.conf"), to: "/root/.pip/pip.conf" },
    { from: join(home, "Library", "Application Support", "pip", "pip.conf"), to: user },
    {
      from: join(environment["XDG_CONFIG_HOME"] ?? join(home, ".config"), "pip", "pip.conf"),
      to: user,
    },
    { from: environment["PIP_CONFIG_FILE"] ?? "", to: user },
  ].filter(({ from }) => existsSync(from));
  const certificates = [
    ...CERTIFICATES.map((name) => environment[name] ?? ""),
    ...configurations.flatMap(({ from }) => {
      const found = readFileSync(from, "utf8").match(/^\s*cert\s*[=:]\s*(\S.*?)\s*$/m);
      return found?.[1] === undefined ? [] : [found[1]];
    }),
  ].filter((path) => path.startsWith("/") && existsSync(path));
  const variables = Object.keys(environment).filter(
    (name) =>
      (name.startsWith("PIP_") && !LOCAL.test(name)) ||
      CERTIFICATES.includes(name) ||
      /^(https?|no|all)_proxy$/i.test(name),
  );
  // The last one of those that go to one place counts, as it does for pip.
  const files = new Map(configurations.map(({ from, to }) => [to, from]));
  for (const path of certificates) files.set(path, path);
  return {
    variables: variables.sort(),
    files: [...files].map(([to, from]) => ({ from, to })),
  };
}

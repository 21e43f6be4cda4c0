import type { FilterRule, FilterTable } from "./schema.ts";

interface Token {
  readonly text: string;
  /** What stands in quotes is never an option, whatever it begins with. */
  readonly quoted: boolean;
}

/** Words of a line, with quotes and backslashes as `xtables_save_string` of libxtables sets them. */
function tokens(line: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  while (at < line.length) {
    if (line[at] === " ") {
      at += 1;
      continue;
    }
    const quoted = line[at] === '"';
    if (quoted) at += 1;
    let text = "";
    while (at < line.length && line[at] !== (quoted ? '"' : " ")) {
      if (quoted && line[at] === "\\") at += 1;
      text += line[at] ?? "";
      at += 1;
    }
    if (quoted) at += 1;
    found.push({ text, quoted });
  }
  return found;
}

const counters = (text: string) => {
  const [, packets = "0", bytes = "0"] = /^\[(\d+):(\d+)\]$/.exec(text) ?? [];
  return { packets: Number(packets), bytes: Number(bytes) };
};

function rule(line: string): FilterRule {
  // [0:0] -A FORWARD ! -i docker0 -j DROP
  const [counted = "", , chain = "", ...rest] = tokens(line).map((token) => token.text);
  const options: { name: string; not: boolean; values: string[] }[] = [];
  let not = false;
  for (const token of tokens(line).slice(3)) {
    if (!token.quoted && token.text === "!") not = true;
    else if (!token.quoted && token.text.startsWith("-")) {
      options.push({ name: token.text, not, values: [] });
      not = false;
    } else options.at(-1)?.values.push(token.text);
  }
  const isJump = ({ name }: { name: string }) => ["-j", "-g"].includes(name);
  return {
    chain,
    ...counters(counted),
    options: options.filter((option) => !isJump(option)),
    target: options.find(isJump)?.values[0] ?? null,
    text: rest.length === 0 ? "" : line.slice(line.indexOf(" -A ") + 4 + chain.length).trim(),
  };
}

/**
 * What `iptables-save -c` and its siblings print, table by table. Tables that nft has put something into that iptables
 * does not know stand in it as a comment, and are left out.
 */
export function parseSaved(
  saved: string,
  family: FilterTable["family"],
  backend: FilterTable["backend"],
): FilterTable[] {
  const tables: FilterTable[] = [];
  for (const line of saved.split("\n")) {
    if (line.startsWith("*")) {
      tables.push({ family, backend, table: line.slice(1), chains: [], rules: [] });
    } else if (line.startsWith(":")) {
      const [name = "", policy = "-", counted = ""] = line.slice(1).split(" ");
      const known = policy === "-" ? null : policy;
      tables.at(-1)?.chains.push({ name, policy: known, ...counters(counted) });
    } else if (line.startsWith("[")) {
      tables.at(-1)?.rules.push(rule(line));
    }
  }
  return tables;
}

import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AstroIntegration } from "astro";

const INLINE_SCRIPT = /<script(?![^>]*\ssrc\s*=)([^>]*)>([\s\S]*?)<\/script>/gi;
/** Scripts of these types are data; a browser runs none of them. */
const DATA_TYPE = /\stype\s*=\s*["']?application\/(?:ld\+)?json/i;

/** CSP sources (`'sha256-…'`) for the inline scripts of a page. */
export function inlineScriptHashes(html: string): string[] {
  return [...html.matchAll(INLINE_SCRIPT)]
    .filter(([, attributes = ""]) => !DATA_TYPE.test(attributes))
    .map(([, , body = ""]) => `'sha256-${createHash("sha256").update(body).digest("base64")}'`);
}

/** Writes `csp.json` beside the built pages, which the course server reads for its policy. */
export function contentSecurityPolicy(): AstroIntegration {
  return {
    name: "content-security-policy",
    hooks: {
      "astro:build:done": async ({ dir }) => {
        const folder = fileURLToPath(dir);
        const files = await readdir(folder, { recursive: true });
        const hashes = new Set<string>();
        for (const file of files.filter((name) => name.endsWith(".html"))) {
          const html = await readFile(join(folder, file), "utf8");
          for (const hash of inlineScriptHashes(html)) hashes.add(hash);
        }
        const policy = { scriptHashes: [...hashes].sort() };
        await writeFile(join(folder, "csp.json"), `${JSON.stringify(policy, null, 2)}\n`);
      },
    },
  };
}

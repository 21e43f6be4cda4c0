import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Hashes of the inline scripts of the built pages, which the build writes down. */
function scriptHashes(siteDir: string): readonly string[] {
  const file = join(siteDir, "csp.json");
  if (!existsSync(file)) return [];
  return (JSON.parse(readFileSync(file, "utf8")) as { scriptHashes: string[] }).scriptHashes;
}

/** Headers of every answer. xterm.js sets styles inline; scripts run only from files and by their hash. */
export function securityHeaders(siteDir: string): Readonly<Record<string, string>> {
  const policy = {
    "default-src": "'self'",
    // Search runs in WebAssembly.
    "script-src": ["'self'", "'wasm-unsafe-eval'", ...scriptHashes(siteDir)].join(" "),
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
  };
  return {
    "content-security-policy": Object.entries(policy)
      .map(([name, value]) => `${name} ${value}`)
      .join("; "),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
  };
}

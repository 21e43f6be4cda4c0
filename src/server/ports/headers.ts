/** What of a request reaches the lab, and what of its answer the browser. Headers are flat lists, as Node has them. */
import { createHash } from "node:crypto";

/** Of one connection only: RFC 9110, section 7.6.1. */
const hopByHop = new Set([
  ...["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"],
  ...["upgrade", "proxy-authenticate", "proxy-authorization", "expect", "http2-settings"],
]);

/** Answers speak for one port of this machine's name; these would speak for all of them, the course among them. */
const overreaching = new Set([
  ...["clear-site-data", "strict-transport-security", "public-key-pins", "expect-ct", "alt-svc"],
  ...["nel", "report-to", "reporting-endpoints", "set-cookie2"],
]);

/** Cookies of the course server itself begin with that. */
const RESERVED = /^(?:__host-|__secure-)?patchbay/i;
const COOKIE_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const COOKIES_KEPT = 500;
const COOKIE_BYTES = 4096;
const COOKIES_IN_ANSWER = 50;

/** How the browser calls a link: `host` with its port. */
export interface OwnAddress {
  readonly secure: boolean;
  readonly host: string;
}

/** What the lab calls itself: a redirect to there leads to the link. */
export interface LabAddress {
  readonly hostName: string;
  readonly port: number;
}

const digest = (cookie: string) => createHash("sha256").update(cookie).digest("base64");

/**
 * Cookies that a lab gave out. A browser sends cookies to each port of a name: only those that came from this lab, by
 * name and value, go back to it; the course's and those of other programs on this machine never do.
 */
export class CookieLedger {
  readonly #given = new Set<string>();

  /** The `Set-Cookie` to hand on, written down; `undefined` where the lab may not set that one. */
  give(header: string): string | undefined {
    const [pair = "", ...attributes] = header.split(";");
    const equals = pair.indexOf("=");
    const name = pair.slice(0, equals).trim();
    const value = pair.slice(equals + 1).trim();
    // A cookie without a name can be read as one with any name.
    if (equals < 0 || !COOKIE_NAME.test(name) || RESERVED.test(name)) return undefined;
    if (header.length > COOKIE_BYTES) return undefined;
    const known = digest(`${name}=${value}`);
    this.#given.delete(known);
    this.#given.add(known);
    const [oldest] = this.#given;
    if (this.#given.size > COOKIES_KEPT && oldest !== undefined) this.#given.delete(oldest);
    const own = attributes.filter((attribute) => !/^\s*domain\s*(?:=|$)/i.test(attribute));
    return [`${name}=${value}`, ...own].join(";");
  }

  /** Of a `Cookie` header what is the lab's. */
  own(header: string): string {
    return header
      .split(";")
      .map((pair) => pair.trim())
      .filter((pair) => this.#given.has(digest(pair)))
      .join("; ");
  }
}

function* pairs(rawHeaders: readonly string[]): Generator<readonly [string, string]> {
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    yield [rawHeaders[index] ?? "", rawHeaders[index + 1] ?? ""];
  }
}

/** Headers that a message's `Connection` header names as its own. */
function named(rawHeaders: readonly string[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const [name, value] of pairs(rawHeaders)) {
    if (name.toLowerCase() !== "connection") continue;
    for (const each of value.split(",")) names.add(each.trim().toLowerCase());
  }
  return names;
}

/** What the lab is asked with. It believes to be visited by plain HTTP under the name that the browser uses. */
export function requestHeaders(
  rawHeaders: readonly string[],
  { own, cookies }: { readonly own: OwnAddress; readonly cookies: CookieLedger },
): string[] {
  const connection = named(rawHeaders);
  const headers: string[] = [];
  for (const [name, value] of pairs(rawHeaders)) {
    const lower = name.toLowerCase();
    if (hopByHop.has(lower) || connection.has(lower)) continue;
    if (lower === "cookie") {
      const lab = cookies.own(value);
      if (lab !== "") headers.push(name, lab);
    } else if (own.secure && (lower === "origin" || lower === "referer")) {
      headers.push(name, value.replace(/^https:/, "http:"));
    } else headers.push(name, value);
  }
  return headers;
}

/** A redirect to the lab's own name, or to the link's with a port that only the lab knows, leads to the link. */
function redirect(location: string, own: OwnAddress, lab: LabAddress): string {
  const url = /^(?:https?:)?\/\//i.test(location) ? URL.parse(location, "http://x") : null;
  if (url === null) return location;
  const base = `${own.secure ? "https" : "http"}://${own.host}`;
  const ownName = URL.parse(base)?.hostname;
  const names = [ownName, lab.hostName, "localhost", "127.0.0.1"];
  const ports = ["", "80", String(lab.port), URL.parse(base)?.port];
  if (!names.includes(url.hostname) || !ports.includes(url.port)) return location;
  return `${base}${url.pathname}${url.search}${url.hash}`;
}

/** What the browser is answered with. */
export function responseHeaders(
  rawHeaders: readonly string[],
  options: { readonly own: OwnAddress; readonly lab: LabAddress; readonly cookies: CookieLedger },
): string[] {
  const connection = named(rawHeaders);
  const headers: string[] = [];
  let cookies = 0;
  for (const [name, value] of pairs(rawHeaders)) {
    const lower = name.toLowerCase();
    if (hopByHop.has(lower) || overreaching.has(lower) || connection.has(lower)) continue;
    if (lower === "set-cookie") {
      const given = cookies < COOKIES_IN_ANSWER ? options.cookies.give(value) : undefined;
      cookies += 1;
      if (given !== undefined) headers.push(name, given);
    } else if (lower === "location") {
      headers.push(name, redirect(value, options.own, options.lab));
    } else headers.push(name, value);
  }
  return headers;
}

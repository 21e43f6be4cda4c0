import os from "node:os";
import type { Duplex } from "node:stream";
import { type LabHost, SandboxError } from "../../../sandbox/index.ts";
import type { Language } from "../../i18n/language.ts";
import { ApiError } from "../errors.ts";
import type { LabService } from "../labs.ts";
import { allowedNames, isLoopback } from "../origin.ts";
import { linkPath, PortLink, type PortLinkOptions } from "./link.ts";
import type { LinkProblem } from "./pages.ts";

/** Ports of this machine that links may listen on, both ends included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export interface PortLinksOptions {
  readonly labs: LabService;
  /** What the course server listens on; links listen on the same. */
  readonly host: string;
  /** Without: whatever is free. */
  readonly range?: PortRange | undefined;
  /** Under which browsers reach a link, with `{port}` for its number: `https://p{port}.labs.example.org/`. */
  readonly urlTemplate?: string | undefined;
  readonly log: (message: string) => void;
}

export interface OpenRequest {
  readonly sessionId: string;
  readonly labId: string;
  /** Without: the lab's first host. */
  readonly host?: string | undefined;
  readonly port: number;
  readonly path: string;
  readonly language: Language;
  /** The name and port by which the browser asked the course server. */
  readonly askedHost: string;
}

const LINKS = 200;
const LINKS_OF_LAB = 8;
const UNUSED_MS = 2 * 3_600_000;
/** A port that is free under one address may be taken under another one. */
const TRIES = 10;

interface Target {
  readonly sessionId: string;
  readonly labId: string;
  readonly host: string;
  readonly port: number;
}

interface Entry extends Target {
  readonly listening: number;
  readonly link: PortLink;
}

/**
 * The name that browsers know a link by. Cookies are shared by all ports of a name, so where this machine has two
 * names the links take the one that the course was not opened by.
 */
function nameBeside(askedHost: string): string {
  const { hostname } = new URL(`http://${askedHost}`);
  if (hostname === "localhost") return "127.0.0.1";
  return hostname === "127.0.0.1" || hostname === "[::1]" ? "localhost" : hostname;
}

const addressOf = (template: string, port: number) =>
  new URL(template.replaceAll("{port}", String(port)));

/** Links to ports of labs: one for each port, opened when asked for, closed with the lab or when long unused. */
export class PortLinks implements AsyncDisposable {
  readonly #options: PortLinksOptions;
  readonly #links = new Map<string, Entry>();
  /** Those that do not listen yet, so that two requests at once open one. */
  readonly #opening = new Map<string, Promise<Entry>>();
  #nextPort: number;

  constructor(options: PortLinksOptions) {
    this.#options = options;
    this.#nextPort = options.range?.first ?? 0;
  }

  /**
   * An address that opens the port once, for whoever gets it first within a minute. Throws `ApiError` 404 for a lab
   * that is not the session's, 409 for one that does not run, 429 where there are too many links.
   */
  async open(request: OpenRequest): Promise<string> {
    const { sessionId, labId, port, language, askedHost } = request;
    const path = linkPath(request.path);
    const lab = await this.#options.labs.running(sessionId, labId);
    const host = lab.host(request.host).name;
    const key = `${labId} ${host} ${port}`;
    const { link, listening } =
      this.#links.get(key) ?? (await this.#open(key, { sessionId, labId, host, port }));
    link.language = language;
    const template = this.#options.urlTemplate ?? `http://${nameBeside(askedHost)}:{port}/`;
    return new URL(link.issue(path), addressOf(template, listening)).href;
  }

  /** Closes links of labs that are gone, and those that nobody used for long. */
  async tidy(): Promise<void> {
    for (const [key, { labId, sessionId, link }] of this.#links) {
      const exists = this.#options.labs.has(sessionId, labId);
      const unused = link.idle.open === 0 && link.idle.sinceMs > UNUSED_MS;
      if (!exists || unused) await this.#close(key);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#opening.values());
    await Promise.all([...this.#links.keys()].map((key) => this.#close(key)));
  }

  async #close(key: string): Promise<void> {
    const entry = this.#links.get(key);
    this.#links.delete(key);
    await entry?.link[Symbol.asyncDispose]();
  }

  #open(key: string, target: Target): Promise<Entry> {
    let opening = this.#opening.get(key);
    if (opening === undefined) {
      opening = this.#listen(target)
        .then((entry) => {
          this.#links.set(key, entry);
          return entry;
        })
        .finally(() => this.#opening.delete(key));
      this.#opening.set(key, opening);
    }
    return opening;
  }

  /** Closes the link that nobody uses and nobody used for longest, of one lab or of all; false where all are used. */
  async #closeOldest(labId?: string): Promise<boolean> {
    const [oldest] = [...this.#links]
      .filter(([, entry]) => labId === undefined || entry.labId === labId)
      .filter(([, { link }]) => link.idle.open === 0)
      .toSorted(([, a], [, b]) => b.link.idle.sinceMs - a.link.idle.sinceMs);
    if (oldest === undefined) return false;
    await this.#close(oldest[0]);
    return true;
  }

  async #listen(target: Target): Promise<Entry> {
    const { labId } = target;
    const ofLab = [...this.#links.values()].filter((entry) => entry.labId === labId).length;
    const room =
      (ofLab < LINKS_OF_LAB || (await this.#closeOldest(labId))) &&
      (this.#links.size < LINKS || (await this.#closeOldest()));
    if (!room) {
      throw new ApiError(
        429,
        "too-many-ports",
        "Too many ports of labs are open at once.",
        "Close the tabs of some, then try again.",
      );
    }
    const entry = await this.#bind(target);
    if (entry !== undefined) return entry;
    // All ports of the range are taken, by other links perhaps.
    const another = (await this.#closeOldest()) ? await this.#bind(target) : undefined;
    if (another !== undefined) return another;
    throw new ApiError(
      503,
      "ports-taken",
      "No port of the course server is free for this.",
      "Tell who runs it: npm start -- --ports gives it others.",
    );
  }

  /** `undefined` where each port that may be taken is in use. */
  async #bind(target: Target): Promise<Entry | undefined> {
    const { range } = this.#options;
    const tries = range === undefined ? TRIES : range.last - range.first + 1;
    for (let attempt = 0; attempt < tries; attempt += 1) {
      const link = new PortLink(this.#linkOptions(target));
      try {
        const listening = await link.listen(this.#addresses(), this.#takePort());
        return { ...target, listening, link };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      }
    }
    return undefined;
  }

  /** `localhost` means either of two addresses. */
  #addresses(): readonly string[] {
    const { host } = this.#options;
    if (!isLoopback(host)) return [host];
    const all = Object.values(os.networkInterfaces()).flatMap((each) => each ?? []);
    return ["127.0.0.1", "::1"].filter((name) => all.some(({ address }) => address === name));
  }

  /** In turn, so that what a browser keeps of one lab's pages meets no other lab soon. */
  #takePort(): number {
    const { range } = this.#options;
    if (range === undefined) return 0;
    const port = this.#nextPort;
    this.#nextPort = port === range.last ? range.first : port + 1;
    return port;
  }

  #linkOptions({ sessionId, labId, host, port }: Target): PortLinkOptions {
    const { labs, urlTemplate, log } = this.#options;
    let known: LabHost | undefined;
    const connect = async (signal: AbortSignal): Promise<Duplex> => {
      const before = known;
      try {
        known ??= (await labs.running(sessionId, labId)).host(host);
        return await known.connect({ port, signal });
      } catch (error) {
        const stale = before !== undefined && !isPortError(error) && !signal.aborted;
        known = undefined;
        if (!stale) throw error;
        // The lab was reset or stopped since: whether it runs is looked at anew.
        return connect(signal);
      }
    };
    return {
      host,
      port,
      connect,
      secure: urlTemplate?.startsWith("https:") ?? false,
      names: (listening: number) =>
        urlTemplate === undefined
          ? allowedNames(this.#options.host, listening).hosts
          : new Set([addressOf(urlTemplate, listening).host]),
      problemOf: (error: unknown): LinkProblem => {
        if (isPortError(error)) return error.code === "port-closed" ? "closed" : "silent";
        if (!(error instanceof ApiError) && !(error instanceof SandboxError)) {
          log(`port ${port} of ${labId}: ${(error as Error).stack}`);
        }
        return "lab";
      },
      onUse: () => labs.used(labId),
      log,
    };
  }
}

const isPortError = (error: unknown): error is SandboxError =>
  error instanceof SandboxError && (error.code === "port-closed" || error.code === "port-silent");

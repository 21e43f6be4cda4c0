import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { parse } from "hono/utils/cookie";
import type { Language } from "../../i18n/language.ts";
import { ApiError } from "../errors.ts";
import { type Forwarding, forwardRequest, forwardUpgrade } from "./forward.ts";
import { CookieLedger, type OwnAddress } from "./headers.ts";
import { type LinkProblem, linkPage } from "./pages.ts";

export interface PortLinkOptions {
  /** Name of the lab host. */
  readonly host: string;
  /** On the lab host. */
  readonly port: number;
  /** Names, with the link's port, under which browsers may ask; known once it listens. */
  readonly names: (listening: number) => ReadonlySet<string>;
  readonly secure: boolean;
  /** A connection to the port. */
  connect(signal: AbortSignal): Promise<Duplex>;
  /** What an error of `connect` means. */
  problemOf(error: unknown): LinkProblem;
  /** Told with each request, and with what a WebSocket sends. */
  onUse(): void;
  readonly log: (message: string) => void;
}

interface Ticket {
  readonly path: string;
  readonly until: number;
}

/** No page of a lab can stand there. */
const OPEN_PATH = "/.patchbay/open/";
const TICKET_MS = 60_000;
const TICKETS_KEPT = 20;
const CONNECTIONS = 32;

/** A path for which the browser asks the link and nobody else. Throws `ApiError` 400 `path-invalid`. */
export function linkPath(path: string): string {
  const url = URL.parse(path, "http://link");
  const own = path.startsWith("/") && url !== null && url.origin === "http://link";
  if (own && path.length <= 2000 && !url.pathname.startsWith("//")) {
    return `${url.pathname}${url.search}${url.hash}`;
  }
  throw new ApiError(400, "path-invalid", "A path begins with one slash: /login.");
}

/**
 * One port of a lab host, under a port of this machine of its own, so that what comes from the lab is another origin
 * than the course. Only the browser that opened it gets in: a ticket, good once, becomes a cookie of this link.
 */
export class PortLink implements AsyncDisposable {
  readonly #options: PortLinkOptions;
  readonly #secret = randomBytes(32).toString("base64url");
  readonly #tickets = new Map<string, Ticket>();
  readonly #cookies = new CookieLedger();
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Duplex>();
  readonly #closing = new AbortController();
  #names: ReadonlySet<string> = new Set();
  #cookieName = "";
  #usedMs = performance.now();
  /** Of the pages that the link itself shows. */
  language: Language = "en";

  constructor(options: PortLinkOptions) {
    this.#options = options;
  }

  /** Listens on all of `addresses` under one port, and resolves with it. Throws as `server.listen` does. */
  async listen(addresses: readonly string[], port: number): Promise<number> {
    let listening = port;
    try {
      for (const address of addresses) listening = await this.#bind(address, listening);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
    this.#names = this.#options.names(listening);
    this.#cookieName = `patchbay_port_${listening}`;
    return listening;
  }

  /** Whether nothing goes through it; `sinceMs` is the time since the last use. */
  get idle(): { readonly open: number; readonly sinceMs: number } {
    return { open: this.#connections.size, sinceMs: performance.now() - this.#usedMs };
  }

  /** A path under the link that opens `path` once, within a minute. */
  issue(path: string): string {
    this.#usedMs = performance.now();
    const ticket = randomBytes(32).toString("base64url");
    const [oldest] = this.#tickets.keys();
    if (this.#tickets.size >= TICKETS_KEPT && oldest !== undefined) this.#tickets.delete(oldest);
    this.#tickets.set(ticket, { path, until: performance.now() + TICKET_MS });
    return `${OPEN_PATH}${ticket}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error("the link is closed"));
    for (const connection of this.#connections) connection.destroy();
    await Promise.all(
      this.#servers.map((server) => {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        return closed;
      }),
    );
  }

  #bind(address: string, port: number): Promise<number> {
    const server = createServer(
      { maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 600_000 },
      (incoming, outgoing) => void this.#answer(incoming, outgoing),
    );
    server.maxConnections = 2 * CONNECTIONS;
    server.on("upgrade", (incoming, socket, head) => void this.#upgrade(incoming, socket, head));
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host: address, port }, () => {
        server.off("error", reject);
        server.on("error", (error) => this.#options.log(`link: ${error.message}`));
        this.#servers.push(server);
        const bound = server.address();
        resolve(typeof bound === "object" && bound !== null ? bound.port : port);
      });
    });
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    // A browser that leaves in the middle is nobody's fault.
    incoming.on("error", () => undefined);
    outgoing.on("error", () => undefined);
    const path = incoming.url ?? "";
    const own = this.#ownAddress(incoming);
    if (own === undefined || !path.startsWith("/")) {
      outgoing.writeHead(own === undefined ? 421 : 400, { "content-type": "text/plain" });
      outgoing.end("This is no address of this course.\n");
      return;
    }
    if (path.startsWith(OPEN_PATH)) return this.#exchange(incoming, outgoing);
    const problem =
      this.#isOpener(incoming) && !this.#isForeign(incoming, own) ? undefined : "stranger";
    const failed =
      problem ?? (await this.#forward(own, (to) => forwardRequest(incoming, outgoing, to)));
    if (failed === undefined) return;
    if (outgoing.headersSent) {
      outgoing.destroy();
      return;
    }
    const { status, headers, body } = linkPage(failed, this.#options, this.language);
    outgoing.writeHead(status, headers);
    outgoing.end(incoming.method === "HEAD" ? undefined : body);
  }

  async #upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    const own = this.#ownAddress(incoming);
    const webSocket = incoming.headers.upgrade?.toLowerCase() === "websocket";
    const refuse = (status: string) =>
      socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    if (own === undefined) return void refuse("421 Misdirected Request");
    if (!webSocket || !incoming.url?.startsWith("/")) return void refuse("400 Bad Request");
    const { origin } = incoming.headers;
    if (!this.#isOpener(incoming) || origin !== originOf(own)) return void refuse("403 Forbidden");
    this.#connections.add(socket);
    socket.once("close", () => this.#connections.delete(socket));
    const problem = await this.#forward(own, (to) =>
      forwardUpgrade(incoming, socket, head, to, () => this.#use()),
    );
    if (problem === undefined) return;
    refuse(`${linkPage(problem, this.#options, this.language).status} No Answer`);
  }

  async #forward(
    own: OwnAddress,
    work: (to: Forwarding) => Promise<LinkProblem | undefined>,
  ): Promise<LinkProblem | undefined> {
    if (this.#connections.size >= CONNECTIONS) return "busy";
    this.#use();
    let connection: Duplex | undefined;
    try {
      const opened = await this.#options.connect(this.#closing.signal);
      connection = opened;
      this.#connections.add(opened);
      opened.once("close", () => this.#connections.delete(opened));
      const { host: hostName, port } = this.#options;
      return await work({ own, lab: { hostName, port }, cookies: this.#cookies, connection });
    } catch (error) {
      connection?.destroy();
      return this.#options.problemOf(error);
    }
  }

  /** Turns a ticket into the cookie, and leads on. */
  #exchange(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const id = incoming.url?.slice(OPEN_PATH.length) ?? "";
    const ticket = this.#tickets.get(id);
    // A look ahead of the visit must not use it up.
    if (incoming.method === "GET") this.#tickets.delete(id);
    const good = ticket !== undefined && ticket.until > performance.now();
    if (!good || incoming.method !== "GET") {
      const { status, headers, body } = linkPage("stranger", this.#options, this.language);
      outgoing.writeHead(status, headers);
      outgoing.end(incoming.method === "HEAD" ? undefined : body);
      return;
    }
    const attributes = ["Path=/", "HttpOnly", "SameSite=Lax"];
    if (this.#options.secure) attributes.push("Secure");
    outgoing.writeHead(303, {
      location: ticket.path,
      "set-cookie": [`${this.#cookieName}=${this.#secret}`, ...attributes].join("; "),
      "cache-control": "no-store",
      "referrer-policy": "no-referrer",
      "content-length": "0",
    });
    outgoing.end();
  }

  #ownAddress({ headers }: IncomingMessage): OwnAddress | undefined {
    const host = headers.host?.toLowerCase();
    if (host === undefined || !this.#names.has(host)) return undefined;
    return { secure: this.#options.secure, host };
  }

  #isOpener({ headers }: IncomingMessage): boolean {
    const given = Buffer.from(
      parse(headers.cookie ?? "", this.#cookieName)[this.#cookieName] ?? "",
    );
    const secret = Buffer.from(this.#secret);
    return given.byteLength === secret.byteLength && timingSafeEqual(given, secret);
  }

  /** Whether a page of another origin asks; it may lead here, and no more. */
  #isForeign({ headers, method }: IncomingMessage, own: OwnAddress): boolean {
    const reads = method === "GET" || method === "HEAD";
    const site = headers["sec-fetch-site"];
    if (site !== undefined) {
      const leads = reads && headers["sec-fetch-mode"] === "navigate";
      return site !== "same-origin" && site !== "none" && !leads;
    }
    return headers.origin === undefined ? !reads : headers.origin !== originOf(own);
  }

  #use(): void {
    this.#usedMs = performance.now();
    this.#options.onUse();
  }
}

const originOf = ({ secure, host }: OwnAddress) => `${secure ? "https" : "http"}://${host}`;

/** The HTTP side of terminals, as the page uses it. */
import { patch, post, request } from "../../http-client/request.ts";
import { terminalSubprotocol } from "../protocol.ts";

export interface TerminalEntry {
  readonly id: string;
  /** From 1, in the order in which the lab's terminals were opened. */
  readonly number: number;
  readonly host: string;
  /** What lessons call it. */
  readonly name?: string;
  /** What its user calls it. */
  readonly title?: string;
}

/** Terminals of one lab. Every method throws `ApiError`, or `TypeError` where no server answers. */
export class TerminalApi {
  readonly #lab: string;
  readonly #path: string;

  constructor(labId: string) {
    this.#lab = `/api/labs/${encodeURIComponent(labId)}`;
    this.#path = `${this.#lab}/terminals`;
  }

  async list(): Promise<readonly TerminalEntry[]> {
    return (await request(this.#path)).json();
  }

  /** With a name: the terminal of that name on that host, where a shell runs in it. */
  async open(
    size: { readonly columns: number; readonly rows: number },
    place: { readonly host: string; readonly name?: string },
  ): Promise<TerminalEntry> {
    return (await post(this.#path, { ...size, ...place })).json();
  }

  /** An empty title brings back its own. */
  async rename(id: string, title: string): Promise<TerminalEntry> {
    return (await patch(`${this.#path}/${encodeURIComponent(id)}`, { title })).json();
  }

  async close(id: string): Promise<void> {
    await request(`${this.#path}/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  /** An address that opens a port of a lab host in a browser, once. */
  async portLink(port: {
    readonly host: string;
    readonly port: number;
    readonly path: string;
    readonly language: string;
  }): Promise<string> {
    return ((await (await post(`${this.#lab}/ports`, port)).json()) as { url: string }).url;
  }

  socket(id: string): WebSocket {
    const url = new URL(`${this.#path}/${encodeURIComponent(id)}/socket`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return new WebSocket(url, terminalSubprotocol);
  }
}

/** The HTTP side of terminals, as the page uses it. */
import { post, request } from "../../http-client/request.ts";
import { terminalSubprotocol } from "../protocol.ts";

export interface TerminalEntry {
  readonly id: string;
  readonly title: string;
}

/** Terminals of one lab. Every method throws `ApiError`, or `TypeError` where no server answers. */
export class TerminalApi {
  readonly #path: string;

  constructor(labId: string) {
    this.#path = `/api/labs/${encodeURIComponent(labId)}/terminals`;
  }

  async list(): Promise<readonly TerminalEntry[]> {
    return (await request(this.#path)).json();
  }

  async open(size: { readonly columns: number; readonly rows: number }): Promise<TerminalEntry> {
    return (await post(this.#path, size)).json();
  }

  async close(id: string): Promise<void> {
    await request(`${this.#path}/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  socket(id: string): WebSocket {
    const url = new URL(`${this.#path}/${encodeURIComponent(id)}/socket`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return new WebSocket(url, terminalSubprotocol);
  }
}

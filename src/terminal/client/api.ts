/** The HTTP side of terminals, as the page uses it. */
import { terminalSubprotocol } from "../protocol.ts";

export interface TerminalEntry {
  readonly id: string;
  readonly title: string;
}

/** What the server refused, in its words. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function problemOf(response: Response): Promise<string> {
  const fallback = `The server answered ${response.status}.`;
  if (!response.headers.get("content-type")?.includes("application/json")) return fallback;
  const body: unknown = await response.json();
  const { error } = (body ?? {}) as { error?: { message?: unknown; fix?: unknown } };
  const parts = [error?.message, error?.fix].filter((part) => typeof part === "string");
  return parts.length > 0 ? parts.join(" ") : fallback;
}

/** Terminals of one lab. Every method throws `ApiError`, or `TypeError` where no server answers. */
export class TerminalApi {
  readonly #path: string;

  constructor(labId: string) {
    this.#path = `/api/labs/${encodeURIComponent(labId)}/terminals`;
  }

  async list(): Promise<readonly TerminalEntry[]> {
    return (await this.#request("")).json();
  }

  async open(size: { readonly columns: number; readonly rows: number }): Promise<TerminalEntry> {
    const response = await this.#request("", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(size),
    });
    return response.json();
  }

  async close(id: string): Promise<void> {
    await this.#request(`/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  socket(id: string): WebSocket {
    const url = new URL(`${this.#path}/${encodeURIComponent(id)}/socket`, location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    return new WebSocket(url, terminalSubprotocol);
  }

  async #request(path: string, init?: RequestInit): Promise<Response> {
    const response = await fetch(`${this.#path}${path}`, { ...init, credentials: "same-origin" });
    if (!response.ok) throw new ApiError(response.status, await problemOf(response));
    return response;
  }
}

/** Requests of a page to the course server's API. */

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

/** Throws `ApiError` for a status of 400 and above, and `TypeError` where no server answers. */
export async function request(path: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(path, { ...init, credentials: "same-origin" });
  if (!response.ok) throw new ApiError(response.status, await problemOf(response));
  return response;
}

const send = (method: string) => (path: string, body: object) =>
  request(path, {
    method,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

export const post = send("POST");
export const put = send("PUT");

/** Requests of a page to the course server's API. */

/** What the server refused, in its words. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  /** The server's name for what stands in the way. */
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function problemOf(response: Response): Promise<ApiError> {
  const { status } = response;
  const fallback = new ApiError(status, "unknown", `The server answered ${status}.`);
  if (!response.headers.get("content-type")?.includes("application/json")) return fallback;
  const body: unknown = await response.json();
  const { error } = (body ?? {}) as {
    error?: { code?: unknown; message?: unknown; fix?: unknown };
  };
  const parts = [error?.message, error?.fix].filter((part) => typeof part === "string");
  return parts.length > 0 ? new ApiError(status, String(error?.code), parts.join(" ")) : fallback;
}

/** Throws `ApiError` for a status of 400 and above, and `TypeError` where no server answers. */
export async function request(path: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(path, { ...init, credentials: "same-origin" });
  if (!response.ok) throw await problemOf(response);
  return response;
}

const withBody =
  (method: string) =>
  (path: string, body: object): Promise<Response> => {
    const headers = { "content-type": "application/json" };
    return request(path, { method, headers, body: JSON.stringify(body) });
  };

export const post = withBody("POST");
export const put = withBody("PUT");
export const patch = withBody("PATCH");

/** The course server's API as the page uses it. */
import type { CheckResult, ExerciseResult } from "../../graders/core/results.ts";
import type { LabView } from "../server/labs.ts";

export type { CheckResult, ExerciseResult, LabView };

/** What the server refused, in its words. */
export class ServerError extends Error {
  override readonly name = "ServerError";
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(path, {
    credentials: "same-origin",
    ...init,
    ...(init?.method === "POST" ? { headers: { "content-type": "application/json" } } : {}),
  });
  if (response.ok) return response;
  const isJson = response.headers.get("content-type")?.includes("application/json");
  const { error } = isJson
    ? ((await response.json()) as { error: { code: string; message: string; fix?: string } })
    : { error: { code: "unknown", message: `The server answered ${response.status}.` } };
  const fix = "fix" in error && error.fix !== undefined ? ` ${error.fix}` : "";
  throw new ServerError(response.status, error.code, `${error.message}${fix}`);
}

const post = (path: string, body: object) =>
  request(path, { method: "POST", body: JSON.stringify(body) });

export async function openLab(lab: string): Promise<LabView> {
  return (await post("/api/labs", { lab })).json();
}

export async function getLab(id: string): Promise<LabView> {
  return (await request(`/api/labs/${id}`)).json();
}

export async function resetLab(id: string): Promise<LabView> {
  return (await post(`/api/labs/${id}/reset`, {})).json();
}

/** A line of the answer to a check. */
export type CheckEvent =
  | { readonly type: "check"; readonly check: CheckResult }
  | { readonly type: "result"; readonly result: ExerciseResult }
  | { readonly type: "error"; readonly error: { readonly code: string; readonly message: string } };

/** Cuts a stream of bytes into JSON lines, wherever its chunks end. */
export async function* jsonLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const lines = rest.split("\n");
    rest = done ? "" : (lines.pop() ?? "");
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line);
    if (done) return;
  }
}

export async function* runCheck(labId: string, exercise: string): AsyncGenerator<CheckEvent> {
  const response = await post(`/api/labs/${labId}/checks`, { exercise });
  if (response.body === null) throw new ServerError(200, "empty", "The server sent no answer.");
  for await (const line of jsonLines(response.body)) yield line as CheckEvent;
}

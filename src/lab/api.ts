/** The course server's API as the page uses it. */
import type { CheckResult, ExerciseResult } from "../../graders/core/results.ts";
import { post, request } from "../http-client/request.ts";
import type { LabView } from "../server/labs.ts";

export type { CheckResult, ExerciseResult, LabView };

export async function openLab(lab: string): Promise<LabView> {
  return (await post("/api/labs", { lab })).json();
}

export async function getLab(id: string): Promise<LabView> {
  return (await request(`/api/labs/${id}`)).json();
}

export async function keepLab(id: string): Promise<LabView> {
  return (await post(`/api/labs/${id}/keep`, {})).json();
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
export async function* jsonLines(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<unknown> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value = "" } = await reader.read();
    const lines = (rest + value).split("\n");
    rest = done ? "" : (lines.pop() ?? "");
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line);
    if (done) return;
  }
}

export async function* runCheck(labId: string, exercise: string): AsyncGenerator<CheckEvent> {
  const response = await post(`/api/labs/${labId}/checks`, { exercise });
  if (response.body === null) return;
  for await (const line of jsonLines(response.body)) yield line as CheckEvent;
}

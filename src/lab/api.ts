/** The course server's API as the page uses it. */
import type { CheckResult, ExerciseResult } from "../../graders/core/results.ts";
import type { Text } from "../../graders/core/text.ts";
import { post, put, request } from "../http-client/request.ts";
import type { Language } from "../i18n/language.ts";
import { languageOf } from "../i18n/language.ts";
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

/** A line of the answer to a check; its texts are in both languages. */
export type CheckEvent =
  | { readonly type: "check"; readonly check: CheckResult }
  /** What a check that takes long waits for. */
  | { readonly type: "progress"; readonly check: string; readonly text: Text }
  | { readonly type: "result"; readonly result: ExerciseResult }
  | { readonly type: "alive" }
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

/** Results of an exercise, at once and whenever they change, until `signal` aborts. */
export async function* watchCheck(
  labId: string,
  exercise: string,
  signal: AbortSignal,
): AsyncGenerator<CheckEvent> {
  const response = await request(`/api/labs/${labId}/checks/${exercise}/watch`, { signal });
  if (response.body === null) return;
  for await (const line of jsonLines(response.body)) yield line as CheckEvent;
}

/** The answer that lies in the lab; empty where there is none. */
export async function getAnswer(labId: string, exercise: string): Promise<string> {
  const response = await request(`/api/labs/${labId}/answers/${exercise}`);
  return ((await response.json()) as { readonly answer: string }).answer;
}

export async function putAnswer(labId: string, exercise: string, answer: string): Promise<void> {
  await put(`/api/labs/${labId}/answers/${exercise}`, { answer });
}

/** A one-time address under which a browser reaches a port of the lab. */
export async function openPort(
  labId: string,
  target: {
    readonly host?: string;
    readonly port: number;
    readonly path: string;
    /** Of what is shown where nothing answers at the port. */
    readonly language: Language;
  },
): Promise<string> {
  const language = languageOf(document.documentElement.lang);
  const response = await post(`/api/labs/${labId}/ports`, { ...target, language });
  return ((await response.json()) as { readonly url: string }).url;
}

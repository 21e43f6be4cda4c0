/** A student's answer to an exercise: one line in `/root/<exercise>/answer` on the lab's first host. */
import type { LabHost } from "../../sandbox/index.ts";
import { ApiError } from "./errors.ts";
import { type FileView, saveFile, viewFile } from "./files.ts";

/** Of an answer in UTF-8. */
export const ANSWER_BYTES = 4096;

const pathOf = (exercise: string) => `/root/${exercise}/answer`;

/** The file; `undefined` where there is none. Throws `ApiError` where something else is in its place. */
async function look(
  host: LabHost,
  path: string,
): Promise<Extract<FileView, { kind: "file" }> | undefined> {
  try {
    const found = await viewFile(host, path);
    if (found.kind === "file") return found;
  } catch (error) {
    if (error instanceof ApiError && error.code === "file-not-found") return undefined;
    throw error;
  }
  throw new ApiError(
    409,
    "file-directory",
    `${path} is a folder.`,
    "Remove it in a terminal: rm -r.",
  );
}

/** What stands there; empty where nothing does. Throws `ApiError`. */
export async function readAnswer(host: LabHost, exercise: string): Promise<string> {
  const path = pathOf(exercise);
  const found = await look(host, path);
  if (found !== undefined && found.bytes > ANSWER_BYTES) {
    throw new ApiError(413, "file-too-big", `${path} has more than ${ANSWER_BYTES} bytes.`);
  }
  return found?.text.trim() ?? "";
}

/** Puts an answer there, whole or not at all. Throws `ApiError` where something else is in its place. */
export async function writeAnswer(host: LabHost, exercise: string, answer: string): Promise<void> {
  const path = pathOf(exercise);
  const version = (await look(host, path))?.version;
  await saveFile(host, { path, text: `${answer}\n`, version });
}

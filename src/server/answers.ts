/** A student's answer to an exercise: one line in `/root/<exercise>/answer` on the lab's first host. */
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { LabHost } from "../../sandbox/index.ts";
import { ApiError } from "./errors.ts";

/** Of an answer in UTF-8. */
export const ANSWER_BYTES = 4096;
const WRITE_TIMEOUT_MS = 5000;

const pathOf = (exercise: string) => `/root/${exercise}/answer`;

interface Refusal {
  readonly status: ContentfulStatusCode;
  readonly code: string;
  readonly message: (path: string) => string;
  readonly fix?: string;
}

const link: Refusal = {
  status: 409,
  code: "file-link",
  message: (path) => `${path} is a link.`,
  fix: "Remove it in a terminal: rm.",
};
const folder: Refusal = {
  status: 409,
  code: "file-directory",
  message: (path) => `${path} is a folder.`,
  fix: "Remove it in a terminal: rm -r.",
};
const special: Refusal = {
  status: 409,
  code: "file-no-file",
  message: (path) => `${path} is no regular file.`,
  fix: "Remove it in a terminal: rm.",
};
const full: Refusal = {
  status: 507,
  code: "file-disk-full",
  message: (path) => `${path} was not saved: the lab's disk is full.`,
  fix: "Make room in a terminal: docker system prune, rm.",
};
const unusable: Refusal = {
  status: 409,
  code: "file-refused",
  message: (path) => `${path} can't be written.`,
  fix: "Look in a terminal what stands in the way, or reset the lab.",
};
const silent: Refusal = {
  status: 504,
  code: "lab-silent",
  message: () => "The lab did not take the answer in time.",
  fix: "Try again; if it stays so, reset the lab.",
};

const refused = (path: string, { status, code, message, fix }: Refusal) =>
  new ApiError(status, code, message(path), fix);

/** What stands there; empty where nothing does. Throws `ApiError`. */
export async function readAnswer(host: LabHost, exercise: string): Promise<string> {
  const path = pathOf(exercise);
  const found = await host.hand().readFile(path, { maxBytes: ANSWER_BYTES });
  if ("text" in found) return found.text.trim();
  if (/(?:No such file or directory|Not a directory)$/.test(found.problem)) return "";
  throw new ApiError(409, "file-no-file", `The answer can't be read: ${found.problem}.`);
}

/**
 * The lab's own shell writes it, in the lab and with no more rights than the lab's root has: what is no regular file
 * stays as it is, and is told by the exit code.
 */
const WRITE = `
folder=$1 file=$1/answer
mkdir -p "$folder" || exit 14
[ -L "$file" ] && exit 11
[ -d "$file" ] && exit 12
[ -e "$file" ] && [ ! -f "$file" ] && exit 13
new=$(mktemp "$folder/.answer.XXXXXX") || exit 14
cat >"$new" && chmod 644 "$new" && mv -fT "$new" "$file" && exit 0
rm -f "$new"
exit 14`;
const refusalOf: Readonly<Record<number, Refusal>> = { 11: link, 12: folder, 13: special };

/** Puts an answer there, whole or not at all. Throws `ApiError`. */
export async function writeAnswer(host: LabHost, exercise: string, answer: string): Promise<void> {
  const path = pathOf(exercise);
  const signal = AbortSignal.timeout(WRITE_TIMEOUT_MS);
  const argv = ["sh", "-c", WRITE, "answer", path.replace(/\/answer$/, "")];
  const done = await host.capture(argv, { input: `${answer}\n`, signal }).catch((error) => {
    throw signal.aborted ? refused(path, silent) : error;
  });
  if (done.exitCode === 0) return;
  const noSpace = /No space left|Disk quota/.test(done.stderr);
  throw refused(path, refusalOf[done.exitCode] ?? (noSpace ? full : unusable));
}

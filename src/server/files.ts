/** Files of a lab as the page's editor asks for them. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { FileLook, FileProblem, FolderEntry, LabHost } from "../../sandbox/index.ts";
import { ApiError } from "./errors.ts";

/** Biggest text that the editor takes, bytes of UTF-8. */
export const FILE_BYTES = 256 * 1024;
/** A text in JSON: an escape takes up to six bytes for one. */
export const FILE_BODY_BYTES = 6 * FILE_BYTES + 8 * 1024;
/** Longest path, bytes: PATH_MAX of Linux with its NUL. */
const PATH_BYTES = 4095;
/** A file is looked at each so often: labs have few inotify watches, and those are the student's. */
const WATCH_MS = 1000;
/** A stream without news says this often that it is alive. */
const ALIVE_MS = 20_000;
/** Streams of one session; the oldest one ends for one more. */
const MAX_WATCHES = 4;

/** What lies at a path, as the page sees it. */
export type FileView =
  | {
      readonly kind: "directory";
      readonly path: string;
      readonly entries: readonly FolderEntry[];
      /** There are more entries than these. */
      readonly more: boolean;
    }
  | {
      readonly kind: "file";
      readonly path: string;
      readonly text: string;
      /** Stands for this very text. */
      readonly version: string;
      readonly bytes: number;
    };

/** A line of a watch: the version of the file now; `null` where there is none that the editor could open. */
export interface FileNews {
  readonly version: string | null;
}

const statuses: Partial<Record<FileProblem, ContentfulStatusCode>> = {
  "not-found": 404,
  changed: 409,
  "disk-full": 507,
  "too-big": 413,
  failed: 500,
};

const kilobytes = (bytes: number) => `${Math.ceil(bytes / 1024)} KB`;

function words(path: string, problem: FileProblem, detail = ""): readonly [string, string?] {
  switch (problem) {
    case "not-found":
      return [`There is no ${path}.`];
    case "link":
      return [`${path} is a link, or lies behind one.`, "Open the file that the link leads to."];
    case "elsewhere":
      return [
        `${path} is not on the lab's own disk: another file system is mounted there.`,
        "Look at it in a terminal.",
      ];
    case "directory":
      return [`${path} is a folder.`];
    case "no-file":
      return [`${path} is no regular file: a FIFO, a socket or a device has no text to edit.`];
    case "too-big":
      return [
        `${path} has ${kilobytes(Number(detail))}; the editor takes at most ${kilobytes(FILE_BYTES)}.`,
        "Look at it in a terminal: less does well.",
      ];
    case "binary":
      return [`${path} is no text in UTF-8.`, "Look at it in a terminal: hexdump -C shows bytes."];
    case "changed":
      return [
        `${path} is another one than when it was opened: something else changed it meanwhile.`,
        "Open it again, or save once more to overwrite it.",
      ];
    case "name-too-long":
      return ["A name has at most 255 bytes."];
    case "disk-full":
      return [
        `${path} was not saved: the lab's disk is full. It is unchanged.`,
        "Make room in a terminal: docker system prune, rm.",
      ];
    case "read-only":
      return [`${path} can't be written: its file system is read-only.`];
    case "refused":
      return [`The lab's root may not do that with ${path}.`];
    case "failed":
      return [`${path}: ${detail}.`];
  }
}

function refusal(path: string, problem: FileProblem, detail?: string): ApiError {
  const [message, fix] = words(path, problem, detail);
  return new ApiError(statuses[problem] ?? 409, `file-${problem}`, message, fix);
}

/** An absolute path without `.`, `..` and double slashes. Throws `ApiError` 400 `path-invalid`. */
export function normalPath(path: string): string {
  const invalid = (why: string) => new ApiError(400, "path-invalid", why);
  if (!path.startsWith("/")) throw invalid("A path starts with /: /root/compose.yaml");
  if (/\p{Cc}|\p{Cs}/u.test(path)) throw invalid("A path has no control characters.");
  if (Buffer.byteLength(path) > PATH_BYTES) {
    throw invalid(`A path has at most ${PATH_BYTES} bytes.`);
  }
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

async function look(host: LabHost, path: string): Promise<FileLook> {
  return host.hand().look(path, { maxBytes: FILE_BYTES });
}

/** A folder's entries or a file's text. Throws `ApiError` with a sentence on what can't be edited. */
export async function viewFile(host: LabHost, asked: string): Promise<FileView> {
  const path = normalPath(asked);
  const found = await look(host, path);
  if ("problem" in found) throw refusal(path, found.problem, found.detail);
  return { ...found, path };
}

/**
 * Writes a text; `version` is the one that it is based on, left out for a new file. Throws `ApiError`: 409
 * `file-changed` where the file is another one by now, others as `viewFile`.
 */
export async function saveFile(
  host: LabHost,
  file: { readonly path: string; readonly text: string; readonly version?: string | undefined },
): Promise<{ readonly version: string }> {
  const path = normalPath(file.path);
  if (path === "/" || file.path.endsWith("/")) throw refusal(path, "directory");
  const bytes = Buffer.byteLength(file.text);
  if (bytes > FILE_BYTES) throw refusal(path, "too-big", String(bytes));
  // Half a character, or a NUL, would be another text when it is read again.
  if (!file.text.isWellFormed() || file.text.includes("\0")) throw refusal(path, "binary");
  const { text, version = null } = file;
  const written = await host.hand().write({ path, text, version, maxBytes: FILE_BYTES });
  if ("problem" in written) throw refusal(path, written.problem, written.detail);
  return written;
}

/** Watches of files: bounded per session, and cheap, since only a change makes them read. */
export class FileWatches {
  readonly #ofSession = new Map<string, AbortController[]>();

  /**
   * Tells the version of a file at once, after each change, and now and then without one. Ends when `signal` aborts,
   * when the session watches too many others, or by throwing where the lab no longer answers.
   */
  async *watch(
    session: string,
    host: LabHost,
    asked: string,
    signal: AbortSignal,
  ): AsyncGenerator<FileNews> {
    const path = normalPath(asked);
    const own = new AbortController();
    const all = this.#ofSession.get(session) ?? [];
    this.#ofSession.set(session, all);
    all.push(own);
    for (const old of all.slice(0, -MAX_WATCHES)) old.abort();
    const ended = AbortSignal.any([signal, own.signal]);
    try {
      let state: string | null | undefined;
      let version: string | null = null;
      let toldMs = Number.NEGATIVE_INFINITY;
      while (!ended.aborted) {
        const now = (await host.hand().fileStates([path]))[path] ?? null;
        const changed = now !== state;
        if (changed) {
          // The state first: a change between the two is seen next time.
          state = now;
          const found = now === null ? undefined : await look(host, path);
          const next =
            found !== undefined && "kind" in found && found.kind === "file" ? found.version : null;
          if (next !== version) toldMs = Number.NEGATIVE_INFINITY;
          version = next;
        }
        if (performance.now() - toldMs >= ALIVE_MS) {
          toldMs = performance.now();
          yield { version };
        }
        await sleep(WATCH_MS, undefined, { signal: ended }).catch(() => undefined);
      }
    } finally {
      all.splice(all.indexOf(own), 1);
      if (all.length === 0) this.#ofSession.delete(session);
    }
  }
}

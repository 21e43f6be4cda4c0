/** Files of a lab over HTTP. Everything throws `ApiError`, or `TypeError` where no server answers. */
import { put, request } from "../../http-client/request.ts";
import type { FileNews, FileView } from "../../server/files.ts";
import { jsonLines } from "../api.ts";

export type { FileView };

/** Where a file lies. */
export interface FilePlace {
  readonly host: string;
  /** Absolute. */
  readonly path: string;
}

export class FilesApi {
  readonly #base: string;

  constructor(labId: string) {
    this.#base = `/api/labs/${encodeURIComponent(labId)}/files`;
  }

  async look({ host, path }: FilePlace): Promise<FileView> {
    return (await request(`${this.#base}?${new URLSearchParams({ host, path })}`)).json();
  }

  /** Resolves with the new version. `version`: the one that the text is based on, `null` for a new file. */
  async save({ host, path }: FilePlace, text: string, version: string | null): Promise<string> {
    const file = { host, path, text, ...(version !== null && { version }) };
    return ((await (await put(this.#base, file)).json()) as { version: string }).version;
  }

  /** Versions of a file as they come to be, until `signal` aborts or the stream ends. */
  async *watch({ host, path }: FilePlace, signal: AbortSignal): AsyncGenerator<FileNews> {
    const query = new URLSearchParams({ host, path });
    const response = await request(`${this.#base}/watch?${query}`, { signal });
    if (response.body === null) return;
    for await (const line of jsonLines(response.body)) yield line as FileNews;
  }
}

/** What a browser keeps of an editor, so that no text is lost with a page: open files, and texts not saved yet. */
import type { FilePlace } from "./files-api.ts";

export interface Draft {
  readonly text: string;
  /** Version of the file that it is based on; `null` for a new file. */
  readonly version: string | null;
}

export class Drafts {
  readonly #labId: string;

  constructor(labId: string) {
    this.#labId = labId;
  }

  get open(): readonly FilePlace[] {
    const list: unknown = JSON.parse(localStorage.getItem(this.#listKey) ?? "[]");
    return Array.isArray(list) ? (list as FilePlace[]) : [];
  }

  set open(places: readonly FilePlace[]) {
    const kept = places.map(({ host, path }) => ({ host, path }));
    this.#write(this.#listKey, kept.length === 0 ? undefined : JSON.stringify(kept));
  }

  get(place: FilePlace): Draft | undefined {
    const text = localStorage.getItem(this.#key(place));
    return text === null ? undefined : (JSON.parse(text) as Draft);
  }

  set(place: FilePlace, draft: Draft | undefined): void {
    this.#write(this.#key(place), draft === undefined ? undefined : JSON.stringify(draft));
  }

  /** The lab was reset: its files are gone. */
  forget(): void {
    for (const place of this.open) this.set(place, undefined);
    this.open = [];
  }

  get #listKey(): string {
    return `patchbay.files.${this.#labId}`;
  }

  #key({ host, path }: FilePlace): string {
    return `patchbay.draft.${this.#labId}.${host}.${path}`;
  }

  #write(key: string, value: string | undefined): void {
    try {
      if (value === undefined) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
    } catch (error) {
      // Full, or refused: the text still stands in the editor.
      console.info("Not kept for a reload:", error);
    }
  }
}

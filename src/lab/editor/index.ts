/** Files of a lab in tabs beside its terminals. Loaded when the first one is opened. */
import { ApiError } from "../../http-client/request.ts";
import type { LabText } from "../../i18n/lab.ts";
import { adoptStyles, type LabTerminals, type ThemeName } from "../../terminal/client/index.ts";
import { Drafts } from "./drafts.ts";
import editorStyles from "./editor.css?inline";
import { FileDialog } from "./file-dialog.ts";
import { FileTab } from "./file-tab.ts";
import { type FilePlace, FilesApi, type FileView } from "./files-api.ts";

adoptStyles(editorStyles);

export interface LabFilesOptions {
  readonly labId: string;
  /** Names of the lab's hosts, the first one first. */
  readonly hosts: readonly string[];
  readonly text: LabText;
  readonly theme: ThemeName;
}

export class LabFiles {
  readonly #terminals: LabTerminals;
  readonly #options: LabFilesOptions;
  readonly #api: FilesApi;
  readonly #drafts: Drafts;
  readonly #dialog: FileDialog;
  readonly #tabs = new Map<string, FileTab>();
  #disposed = false;

  constructor(terminals: LabTerminals, options: LabFilesOptions) {
    this.#terminals = terminals;
    this.#options = options;
    this.#api = new FilesApi(options.labId);
    this.#drafts = new Drafts(options.labId);
    this.#dialog = new FileDialog(
      terminals.element,
      { api: this.#api, text: options.text, hosts: options.hosts },
      (place, view) => this.#open(place, view, true),
    );
    this.setTheme(options.theme);
  }

  /** Paths of files whose text is not on the lab's disk. */
  get unsaved(): readonly string[] {
    return [...this.#tabs.values()].filter(({ dirty }) => dirty).map(({ place }) => place.path);
  }

  /** Asks which file to open. */
  ask(): void {
    this.#dialog.open();
  }

  /** Opens what was open when the page was left, with what was not saved. */
  async restore(): Promise<void> {
    for (const place of this.#drafts.open) {
      try {
        const view = await this.#api.look(place);
        if (!this.#disposed) this.#open(place, view, false);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        // Of a file that is gone the unsaved text is still worth something.
        if (this.#disposed) return;
        if (this.#drafts.get(place) !== undefined) this.#open(place, undefined, false);
        else this.#remember();
      }
    }
  }

  /** The lab was reset: nothing of its files is left to go on with. */
  forget(): void {
    const places = this.#drafts.open;
    for (const tab of this.#tabs.values()) tab.dispose();
    this.#tabs.clear();
    for (const place of places) this.#drafts.set(place, undefined);
    this.#drafts.forget();
  }

  setTheme(theme: ThemeName): void {
    this.#terminals.element.dataset["editorTheme"] = theme;
  }

  /** Takes all out of the page; the next `restore` brings it back. */
  dispose(): void {
    this.#disposed = true;
    for (const tab of this.#tabs.values()) tab.dispose();
    this.#tabs.clear();
    this.#dialog.dispose();
  }

  #open(place: FilePlace, view: FileView | undefined, show: boolean): void {
    const key = `${place.host}:${place.path}`;
    const known = this.#tabs.get(key);
    if (known !== undefined) {
      known.show(true);
      return;
    }
    const disk = view?.kind === "file" ? view : { text: "", version: null };
    const tab = new FileTab(this.#terminals, place, disk, this.#drafts.get(place), {
      api: this.#api,
      drafts: this.#drafts,
      text: this.#options.text,
      label: this.#label(place),
      onClosed: () => {
        this.#tabs.delete(key);
        this.#remember();
      },
    });
    this.#tabs.set(key, tab);
    this.#remember();
    if (show) tab.show(true);
  }

  #remember(): void {
    this.#drafts.open = [...this.#tabs.values()].map(({ place }) => place);
  }

  /** The name, with the folder where it is not the home; with the host where there are several. */
  #label({ host, path }: FilePlace): string {
    const name = path
      .replace(/^\/root\//, "")
      .split("/")
      .slice(-2)
      .join("/");
    return this.#options.hosts.length > 1 ? `${host} · ${name}` : name;
  }
}

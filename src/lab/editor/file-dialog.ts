/** Asks for a file of the lab: by its path, or by going through folders. */
import { ApiError } from "../../http-client/request.ts";
import type { LabText } from "../../i18n/lab.ts";
import { create, icon } from "../../terminal/client/index.ts";
import { problemWords } from "../words.ts";
import type { FilePlace, FilesApi, FileView } from "./files-api.ts";

/** Where the student begins. */
const HOME = "/root";

const join = (folder: string, name: string) => (folder === "/" ? `/${name}` : `${folder}/${name}`);
const parentOf = (path: string) => path.replace(/\/[^/]*\/?$/, "") || "/";

export class FileDialog {
  readonly #api: FilesApi;
  readonly #text: LabText;
  readonly #dialog: HTMLDialogElement;
  readonly #host: HTMLSelectElement;
  readonly #path: HTMLInputElement;
  readonly #list = create("ul", { class: "pb-file-list" });
  readonly #told = create("p", { class: "pb-dialog-problem", role: "status" });
  readonly #onFile: (place: FilePlace, view: FileView | undefined) => void;
  #folder = HOME;
  #asked = 0;

  /** `onFile` gets a file that was chosen; no view where it is not there yet. */
  constructor(
    parent: HTMLElement,
    options: { readonly api: FilesApi; readonly text: LabText; readonly hosts: readonly string[] },
    onFile: (place: FilePlace, view: FileView | undefined) => void,
  ) {
    const { api, text, hosts } = options;
    this.#api = api;
    this.#text = text;
    this.#onFile = onFile;
    const { editor, terminals } = text;
    this.#host = create(
      "select",
      {},
      ...hosts.map((host) => create("option", { value: host }, host)),
    );
    this.#path = create("input", {
      type: "text",
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: "off",
    });
    const open = create("button", { type: "submit", class: "pb-button" }, editor.openButton);
    const cancel = create("button", { type: "button", class: "pb-button quiet" }, terminals.cancel);
    const hostField = create("label", {}, editor.host, this.#host);
    hostField.hidden = hosts.length < 2;
    const form = create(
      "form",
      {},
      hostField,
      create("label", {}, editor.path, this.#path),
      this.#told,
      this.#list,
      create("p", { class: "pb-dialog-hint" }, editor.pathHint),
      create("div", { class: "pb-dialog-actions" }, cancel, open),
    );
    this.#dialog = create(
      "dialog",
      { class: "pb-dialog", "aria-labelledby": "pb-file-dialog-title" },
      create("h2", { id: "pb-file-dialog-title" }, editor.open),
      form,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#go(this.#path.value.trim());
    });
    cancel.addEventListener("click", () => this.#dialog.close());
    this.#host.addEventListener("change", () => void this.#go(HOME));
    parent.append(this.#dialog);
  }

  open(): void {
    this.#told.textContent = "";
    this.#dialog.showModal();
    void this.#go(this.#folder).then(() => {
      this.#path.focus();
      this.#path.setSelectionRange(this.#path.value.length, this.#path.value.length);
    });
  }

  dispose(): void {
    this.#dialog.remove();
  }

  async #go(path: string): Promise<void> {
    this.#asked += 1;
    const asked = this.#asked;
    const place = { host: this.#host.value, path };
    this.#told.textContent = this.#text.editor.loading;
    try {
      const view = await this.#api.look(place);
      if (asked !== this.#asked || !this.#dialog.open) return;
      this.#told.textContent = "";
      if (view.kind === "directory") this.#showFolder(view);
      else this.#choose({ ...place, path: view.path }, view);
    } catch (error) {
      if (asked !== this.#asked) return;
      const missing = error instanceof ApiError && error.code === "file-not-found";
      if (missing && path.startsWith("/") && !path.endsWith("/")) this.#choose(place, undefined);
      else this.#told.textContent = problemWords(this.#text, error);
    }
  }

  #choose(place: FilePlace, view: FileView | undefined): void {
    this.#folder = parentOf(place.path);
    this.#dialog.close();
    this.#onFile(place, view);
  }

  #showFolder(view: Extract<FileView, { kind: "directory" }>): void {
    const { editor } = this.#text;
    this.#folder = view.path;
    this.#path.value = view.path === "/" ? "/" : `${view.path}/`;
    const focused = this.#list.contains(document.activeElement);
    const kinds = { directory: editor.folder, file: "", link: editor.link, other: editor.other };
    const row = (
      picture: "files" | "file" | "up",
      name: string,
      note: string,
      path: string | undefined,
    ) => {
      const button = create("button", { type: "button" }, icon(picture), name);
      if (note !== "") button.append(create("span", { class: "pb-file-kind" }, note));
      if (path === undefined) button.disabled = true;
      else button.addEventListener("click", () => void this.#go(path));
      return create("li", {}, button);
    };
    const rows = view.entries.map(({ name, kind }) =>
      row(
        kind === "directory" ? "files" : "file",
        name,
        kinds[kind],
        kind === "directory" || kind === "file" ? join(view.path, name) : undefined,
      ),
    );
    if (view.path !== "/") rows.unshift(row("up", "..", editor.up, parentOf(view.path)));
    this.#list.replaceChildren(...rows);
    if (view.more) this.#told.textContent = editor.more;
    else if (view.entries.length === 0) this.#told.textContent = editor.empty;
    if (focused) this.#list.querySelector<HTMLElement>("button:enabled")?.focus();
  }
}

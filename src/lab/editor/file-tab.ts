/** One open file: its text, what is on the lab's disk, and what to do where the two went apart. */

import { plural } from "../../../graders/core/plural.ts";
import { ApiError } from "../../http-client/request.ts";
import { fill } from "../../i18n/fill.ts";
import type { LabText } from "../../i18n/lab.ts";
import {
  askDialog,
  create,
  type LabTerminals,
  type TabHandle,
} from "../../terminal/client/index.ts";
import { problemWords } from "../words.ts";
import { CodeView } from "./code-view.ts";
import type { Drafts } from "./drafts.ts";
import type { FilePlace, FilesApi } from "./files-api.ts";
import type { Problem } from "./yaml-lint.ts";

/** After the last key: the text is kept for a reload. */
const DRAFT_MS = 500;
const RETRY_MS = 5000;

/** A text on the lab's disk; `null`: there is no such file. */
interface OnDisk {
  readonly text: string;
  readonly version: string | null;
}

export interface FileTabOptions {
  readonly api: FilesApi;
  readonly drafts: Drafts;
  readonly text: LabText;
  /** What the tab says. */
  readonly label: string;
  readonly onClosed: () => void;
}

let count = 0;

export class FileTab {
  readonly place: FilePlace;
  readonly #options: FileTabOptions;
  readonly #panel: HTMLElement;
  readonly #code: CodeView;
  readonly #tab: TabHandle;
  readonly #save: HTMLButtonElement;
  readonly #state = create("span", { class: "pb-file-state", role: "status" });
  readonly #banner = create("div", { class: "pb-file-banner", role: "alert", hidden: "" });
  readonly #problems = create("details", { class: "pb-file-problems", open: "", hidden: "" });
  /** What the text is based on. */
  #base: OnDisk;
  /** What is on the disk instead, where that is another text than both. */
  #other: OnDisk | undefined;
  #comparing = false;
  #saving = false;
  #watching: AbortController | undefined;
  #draftTimer: ReturnType<typeof setTimeout> | undefined;

  /** `draft`: a text that was not saved when the page was left. */
  constructor(
    terminals: LabTerminals,
    place: FilePlace,
    disk: OnDisk,
    draft: { readonly text: string; readonly version: string | null } | undefined,
    options: FileTabOptions,
  ) {
    this.place = place;
    this.#options = options;
    this.#base = disk;
    const { editor } = options.text;
    this.#save = create("button", { type: "button", class: "pb-button" }, editor.save);
    this.#save.addEventListener("click", () => void this.save());
    const holder = create("div", { class: "pb-file-text" });
    const mac = /Mac/.test(navigator.userAgent);
    this.#panel = create(
      "div",
      { class: "pb-file" },
      create(
        "div",
        { class: "pb-file-bar" },
        create("code", { class: "pb-file-path" }, place.path),
        this.#state,
        this.#save,
      ),
      this.#banner,
      holder,
      this.#problems,
      create("p", { class: "pb-file-hint" }, mac ? editor.hintMac : editor.hint),
    );
    this.#code = new CodeView(holder, place.path, draft?.text ?? disk.text, options.text, {
      onChange: () => this.#changed(),
      onSave: () => void this.save(),
      onProblems: (problems) => this.#showProblems(problems),
    });
    count += 1;
    this.#tab = terminals.addTab({
      id: `file-${count}`,
      label: { text: options.label, title: place.path, icon: "file" },
      panel: this.#panel,
      onShow: () => this.#watch(),
      onHide: () => this.#stopWatching(),
      onClose: () => void this.close(),
      focus: () => this.#code.focus(),
    });
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#refresh();
    if (draft !== undefined && this.dirty) {
      this.#state.textContent = editor.restored;
      if (draft.version !== disk.version) {
        this.#base = { ...disk, version: draft.version };
        this.#meet(disk);
      }
    }
  }

  get dirty(): boolean {
    return this.#base.version === null || this.#code.content !== this.#base.text;
  }

  show(focus: boolean): void {
    this.#tab.select();
    if (focus) this.#code.focus();
  }

  /** `true` once the text is on the lab's disk. */
  async save(): Promise<boolean> {
    const { api, text } = this.#options;
    const content = this.#code.content;
    if (this.#saving) return false;
    this.#saving = true;
    this.#state.textContent = text.editor.saving;
    try {
      const version = await api.save(this.place, content, this.#base.version);
      this.#base = { text: content, version };
      this.#settle();
      this.#state.textContent = text.editor.saved;
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === "file-changed") {
        await this.#look();
        this.#refresh();
        // What is there may be the very same text.
        return !this.dirty;
      }
      const problem = problemWords(text, error);
      this.#refresh();
      this.#state.textContent = fill(text.editor.notSaved, { problem });
      return false;
    } finally {
      this.#saving = false;
      this.#keepDraft();
    }
  }

  /** Asks first where something would be lost. */
  async close(): Promise<void> {
    const { editor } = this.#options.text;
    if (this.dirty && (this.#base.version !== null || this.#code.content !== "")) {
      this.show(false);
      const title = fill(editor.closeTitle, { path: this.place.path });
      const answer = await askDialog(
        this.#panel,
        title,
        [create("p", {}, editor.closeText)],
        [
          { value: "", label: editor.back },
          { value: "discard", label: editor.discard },
          { value: "save", label: editor.save, main: true },
        ],
      );
      if (answer === undefined) return;
      if (answer === "save" && !(await this.save())) return;
    }
    this.#options.drafts.set(this.place, undefined);
    this.dispose();
    this.#options.onClosed();
  }

  /** Takes the file out of the page; a text that is not saved is kept for the next time. */
  dispose(): void {
    this.#keepDraft();
    this.#stopWatching();
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#tab.remove();
    this.#code.dispose();
  }

  readonly #onVisibility = (): void => {
    if (document.visibilityState === "hidden") {
      this.#keepDraft();
      this.#watching?.abort();
    } else if (this.#watching !== undefined) {
      this.#watch();
    }
  };

  #changed(): void {
    this.#refresh();
    clearTimeout(this.#draftTimer);
    this.#draftTimer = setTimeout(() => this.#keepDraft(), DRAFT_MS);
  }

  #keepDraft(): void {
    clearTimeout(this.#draftTimer);
    const draft = { text: this.#code.content, version: this.#base.version };
    this.#options.drafts.set(this.place, this.dirty ? draft : undefined);
  }

  #refresh(): void {
    const { editor } = this.#options.text;
    const { dirty } = this;
    const words = this.#base.version === null ? editor.newFile : editor.unsaved;
    this.#state.textContent = dirty ? words : "";
    this.#tab.setMark(dirty ? editor.unsaved : undefined);
  }

  /** Looks at the file as long as the tab is in view. */
  #watch(): void {
    this.#watching?.abort();
    const controller = new AbortController();
    this.#watching = controller;
    void this.#follow(controller.signal);
  }

  #stopWatching(): void {
    this.#watching?.abort();
    this.#watching = undefined;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const { version } of this.#options.api.watch(this.place, signal)) {
          if (signal.aborted) return;
          if (this.#state.textContent === this.#options.text.editor.reconnecting) this.#refresh();
          const known = this.#other ?? this.#base;
          if (version !== known.version && !this.#saving) await this.#look();
        }
      } catch (error) {
        if (signal.aborted) return;
        console.info(`${this.place.path} is not watched:`, error);
        this.#state.textContent = this.#options.text.editor.reconnecting;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Reads the file and compares. */
  async #look(): Promise<void> {
    try {
      const found = await this.#options.api.look(this.place);
      if (found.kind === "file") this.#meet(found);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Gone, or no text any more: either way this text is on no disk.
      this.#meet({ text: "", version: null });
    }
  }

  #meet(disk: OnDisk): void {
    const { editor } = this.#options.text;
    const { path } = this.place;
    const content = this.#code.content;
    if (disk.version === this.#base.version && disk.version !== null) {
      this.#settle();
    } else if (disk.version === null) {
      if (this.#base.version === null) return;
      this.#base = { text: this.#base.text, version: null };
      this.#settle();
      this.#say(fill(editor.removed, { path }), []);
    } else if (disk.text === content) {
      this.#base = disk;
      this.#settle();
    } else if (!this.dirty) {
      this.#base = disk;
      this.#code.replace(disk.text);
      this.#settle();
      this.#state.textContent = fill(editor.reloaded, { path });
    } else {
      this.#other = disk;
      this.#offer();
    }
    this.#keepDraft();
  }

  /** Text and disk went apart: nothing happens to either until the student says so. */
  #offer(): void {
    const { editor } = this.#options.text;
    const words = this.#comparing
      ? editor.comparing
      : fill(editor.changed, { path: this.place.path });
    this.#say(words, [
      [editor.reload, () => this.#takeOther()],
      [editor.keep, () => this.#keepMine()],
      [this.#comparing ? editor.compareEnd : editor.compare, () => this.#compare()],
    ]);
    if (this.#comparing) this.#code.compareWith(this.#other?.text);
  }

  #takeOther(): void {
    const disk = this.#other;
    if (disk === undefined) return;
    this.#base = disk;
    this.#settle();
    this.#code.replace(disk.text);
    this.#refresh();
    this.#code.focus();
  }

  #keepMine(): void {
    const disk = this.#other;
    if (disk === undefined) return;
    this.#base = disk;
    this.#settle();
    this.#state.textContent = this.#options.text.editor.kept;
    this.#code.focus();
  }

  #compare(): void {
    this.#comparing = !this.#comparing;
    if (!this.#comparing) this.#code.compareWith(undefined);
    this.#offer();
  }

  /** Text and disk belong together again. */
  #settle(): void {
    this.#other = undefined;
    if (this.#comparing) this.#code.compareWith(undefined);
    this.#comparing = false;
    this.#banner.hidden = true;
    this.#refresh();
  }

  #say(words: string, choices: readonly (readonly [string, () => void])[]): void {
    const buttons = choices.map(([label, act]) => {
      const button = create("button", { type: "button", class: "pb-button quiet" }, label);
      button.addEventListener("click", act);
      return button;
    });
    this.#banner.replaceChildren(create("span", {}, words), ...buttons);
    this.#banner.hidden = false;
  }

  #showProblems(problems: readonly Problem[]): void {
    const { editor, language } = this.#options.text;
    this.#problems.hidden = problems.length === 0;
    const items = problems.map(({ from, severity, message }) => {
      const line = fill(editor.line, { line: this.#code.lineAt(from) });
      const button = create("button", { type: "button", "data-severity": severity }, line);
      button.addEventListener("click", () => this.#code.goTo(from));
      return create("li", {}, button, ` ${message}`);
    });
    this.#problems.replaceChildren(
      create(
        "summary",
        {},
        create("span", { role: "status" }, plural(language, editor.problems, problems.length)),
      ),
      create("ul", {}, ...items),
    );
  }
}

/** One xterm in the page: drawing, keys, clipboard, search and size. It knows nothing of servers. */
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { WebLinksAddon } from "@xterm/addon-web-links";
import type { WebglAddon } from "@xterm/addon-webgl";
import { Terminal } from "@xterm/xterm";
import { clampSize, type TerminalSize } from "../protocol.ts";
import { controlKey, EscapeCounter, keyAction, platformOf } from "./keyboard.ts";
import type { Settings } from "./preferences.ts";
import { safePaste, safeTitle } from "./safe-text.ts";
import { searchColors, type ThemeName, themes } from "./themes.ts";

const scrollbackLines = 5_000;
/** Keepers take 8 MiB of waiting input; a bigger paste would lose its end. */
const maxPasteBytes = 4 * 1024 * 1024;
/** Matches that are counted and marked, at most. */
export const maxMatches = 1_000;

export type ScreenNotice = "copied" | "copyRefused" | "pasteRefused" | "pasteTooBig";

export interface ScreenListener {
  onInput(bytes: Uint8Array): void;
  /** The size that this element has room for has changed. */
  onRoom(size: TerminalSize): void;
  onTitle(title: string): void;
  /** Something to tell the user. */
  onNotice(notice: ScreenNotice): void;
  onBell(): void;
  /** A link in the output was clicked, a web address. */
  onLink(url: URL): void;
  /** The keys for a search were pressed. */
  onSearch(): void;
  /** Matches of the search: `at` counts from 1, and is 0 where none is marked. */
  onMatches(matches: { readonly at: number; readonly count: number }): void;
}

/** `last`: the match nearest to the end. */
export type FindWay = "last" | "next" | "previous";

export interface SearchOptions {
  readonly caseSensitive: boolean;
  readonly regex: boolean;
}

/** Final bytes of what cursor keys send. */
const cursorKeys: Readonly<Record<string, string>> = { up: "A", down: "B", right: "C", left: "D" };
const namedKeys: Readonly<Record<string, string>> = { Escape: "\x1b", Tab: "\t" };

export class Screen {
  /** Where focus goes when the keyboard leaves the terminal; Enter on it goes back in. */
  readonly element: HTMLElement;
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #search = new SearchAddon({ highlightLimit: maxMatches });
  readonly #listener: ScreenListener;
  readonly #observer: ResizeObserver;
  readonly #escapes = new EscapeCounter();
  readonly #platform = platformOf(navigator.userAgent);
  #theme: ThemeName;
  #copyOnSelect: boolean;
  #ctrl = false;
  #room: TerminalSize | undefined;
  #roomTimer: number | undefined;
  #webgl: WebglAddon | "loading" | "unavailable" | undefined;

  /** `element` must be in the page and have its size. */
  constructor(
    element: HTMLElement,
    options: { readonly theme: ThemeName; readonly settings: Settings },
    listener: ScreenListener,
  ) {
    this.element = element;
    this.#listener = listener;
    this.#theme = options.theme;
    this.#copyOnSelect = options.settings.copyOnSelect;
    const style = getComputedStyle(element);
    const openLink = (_event: MouseEvent, address: string) => this.#link(address);
    this.#terminal = new Terminal({
      allowProposedApi: true,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      fontFamily:
        style.getPropertyValue("--pb-terminal-font").trim() || style.fontFamily || "monospace",
      fontSize: options.settings.fontSize,
      linkHandler: { activate: openLink, allowNonHttpProtocols: false },
      macOptionIsMeta: true,
      minimumContrastRatio: 4.5,
      rightClickSelectsWord: false,
      screenReaderMode: options.settings.screenReader,
      scrollback: scrollbackLines,
      theme: themes[options.theme],
    });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.loadAddon(this.#search);
    this.#terminal.loadAddon(new WebLinksAddon(openLink));
    this.#terminal.open(element);
    this.#silenceReplies();
    this.#listen();
    this.#observer = new ResizeObserver(() => this.#measureSoon());
    this.#observer.observe(element);
  }

  /** Room for so many characters, or `undefined` while hidden. */
  measure(): TerminalSize | undefined {
    const proposed = this.#fit.proposeDimensions();
    if (proposed === undefined || this.element.clientHeight === 0) return undefined;
    return clampSize({ columns: proposed.cols, rows: proposed.rows });
  }

  /** All that is shown or has scrolled away, as text; wrapped lines are one. */
  get text(): string {
    const buffer = this.#terminal.buffer.active;
    const lines: string[] = [];
    for (let index = 0; index < buffer.length; index++) {
      const line = buffer.getLine(index);
      const next = buffer.getLine(index + 1);
      const part = line?.translateToString(next?.isWrapped !== true) ?? "";
      if (line?.isWrapped && lines.length > 0) lines[lines.length - 1] += part;
      else lines.push(part);
    }
    return lines.join("\n").trimEnd();
  }

  /** Draws output; `done` is called once it is parsed. */
  write(bytes: Uint8Array, done: () => void): void {
    this.#terminal.write(bytes, done);
  }

  /** Forgets the screen and draws another one. */
  replace(size: TerminalSize, bytes: Uint8Array, done: () => void): void {
    // Through the same queue as output, so that nothing written earlier draws over it.
    this.#terminal.write("", () => {
      this.#terminal.reset();
      this.resize(size);
    });
    this.#terminal.write(bytes, done);
  }

  /** In order with what was written before. */
  resizeInOrder(size: TerminalSize): void {
    this.#terminal.write("", () => this.resize(size));
  }

  resize({ columns, rows }: TerminalSize): void {
    if (columns !== this.#terminal.cols || rows !== this.#terminal.rows) {
      this.#terminal.resize(columns, rows);
    }
  }

  setTheme(theme: ThemeName): void {
    this.#theme = theme;
    this.#terminal.options.theme = themes[theme];
  }

  apply({ fontSize, copyOnSelect, screenReader }: Settings): void {
    this.#copyOnSelect = copyOnSelect;
    this.#terminal.options.screenReaderMode = screenReader;
    if (fontSize === this.#terminal.options.fontSize) return;
    this.#terminal.options.fontSize = fontSize;
    this.#measureSoon();
  }

  setReadOnly(readOnly: boolean): void {
    this.#terminal.options.disableStdin = readOnly;
  }

  focus(): void {
    this.#terminal.focus();
  }

  /** Marks all matches and goes to one of them. Throws `SyntaxError` for no expression. */
  find(text: string, { caseSensitive, regex }: SearchOptions, way: FindWay): void {
    if (text === "") {
      this.endSearch();
      return;
    }
    if (regex) new RegExp(text);
    const options = { caseSensitive, regex, decorations: searchColors[this.#theme] };
    if (way === "last") {
      this.#terminal.clearSelection();
      // The addon (0.16.0) marks anew for another text alone, and overlooks other options.
      this.#search.clearDecorations();
    }
    if (way === "next") this.#search.findNext(text, options);
    else this.#search.findPrevious(text, options);
  }

  endSearch(): void {
    this.#search.clearDecorations();
    this.#terminal.clearSelection();
    this.#listener.onMatches({ at: 0, count: 0 });
  }

  /** Types as a keyboard does: `Escape`, `Tab`, `up`, `down`, `left`, `right`, or the character itself. */
  press(key: string): void {
    const cursor = cursorKeys[key];
    const application = this.#terminal.modes.applicationCursorKeysMode;
    const named = namedKeys[key];
    const text = cursor === undefined ? (named ?? key) : `\x1b${application ? "O" : "["}${cursor}`;
    this.#terminal.input(text, true);
  }

  /** The next character that is typed becomes its control character. */
  armCtrl(on: boolean): void {
    this.#ctrl = on;
  }

  get ctrlArmed(): boolean {
    return this.#ctrl;
  }

  /** By a button: asks the browser for the clipboard. */
  async pasteClipboard(): Promise<void> {
    try {
      this.#pasteText(await navigator.clipboard.readText());
    } catch (error) {
      console.info("Clipboard:", error);
      this.#listener.onNotice("pasteRefused");
    }
  }

  /** Called when the screen comes into view: measures, and brings WebGL after the first paint. */
  shown(): void {
    this.#measureSoon();
    if (this.#webgl !== undefined) return;
    this.#webgl = "loading";
    const load = () => void this.#loadWebgl();
    if ("requestIdleCallback" in window) window.requestIdleCallback(load, { timeout: 2_000 });
    else setTimeout(load, 200);
  }

  /** Called when another screen takes the place: a browser has few WebGL contexts. */
  hidden(): void {
    if (typeof this.#webgl === "object") {
      this.#webgl.dispose();
      this.#webgl = undefined;
    }
  }

  dispose(): void {
    clearTimeout(this.#roomTimer);
    this.#observer.disconnect();
    this.#terminal.dispose();
  }

  async #loadWebgl(): Promise<void> {
    const { WebglAddon } = await import("@xterm/addon-webgl");
    if (!(await countsItsPixels(this.element))) {
      this.#webgl = "unavailable";
      return;
    }
    if (this.element.clientHeight === 0) {
      this.#webgl = undefined;
      return;
    }
    const addon = new WebglAddon();
    addon.onContextLoss(() => {
      addon.dispose();
      this.#webgl = "unavailable";
    });
    try {
      this.#terminal.loadAddon(addon);
      this.#webgl = addon;
    } catch (error) {
      this.#webgl = "unavailable";
      console.info("The terminal draws without WebGL:", error);
    }
  }

  #measureSoon(): void {
    clearTimeout(this.#roomTimer);
    this.#roomTimer = window.setTimeout(() => {
      const room = this.measure();
      if (room === undefined) return;
      if (room.columns === this.#room?.columns && room.rows === this.#room.rows) return;
      this.#room = room;
      this.#listener.onRoom(room);
    }, 50);
  }

  #listen(): void {
    const encoder = new TextEncoder();
    this.#terminal.onData((text) => {
      const typed = this.#ctrl ? controlKey(text) : text;
      this.#ctrl = false;
      this.#listener.onInput(encoder.encode(typed));
    });
    this.#terminal.onBinary((text) =>
      this.#listener.onInput(Uint8Array.from(text, (character) => character.charCodeAt(0))),
    );
    this.#terminal.onTitleChange((title) => this.#listener.onTitle(safeTitle(title)));
    this.#terminal.onBell(() => this.#listener.onBell());
    this.#search.onDidChangeResults(({ resultIndex, resultCount }) =>
      this.#listener.onMatches({ at: resultIndex + 1, count: resultCount }),
    );
    this.#terminal.attachCustomKeyEventHandler((event) => this.#key(event));
    this.element.addEventListener("keydown", (event) => {
      if (event.target !== this.element) return;
      if (event.key === "Enter") {
        event.preventDefault();
        this.focus();
      } else if (keyAction(event, this.#platform, false) === "search") {
        event.preventDefault();
        this.#listener.onSearch();
      }
    });
    // A selection ends outside as often as inside.
    this.element.addEventListener("mousedown", () => {
      const copy = () => {
        if (this.#copyOnSelect && this.#terminal.hasSelection()) void this.#copy();
      };
      document.addEventListener("mouseup", () => setTimeout(copy, 0), { once: true });
    });
    this.element.addEventListener("paste", (event) => this.#paste(event), { capture: true });
  }

  #key(event: KeyboardEvent): boolean {
    if (event.type !== "keydown") return true;
    const fullScreen = this.#terminal.buffer.active.type === "alternate";
    if (this.#escapes.press(event.key, fullScreen, performance.now())) {
      // After this key has gone to the program.
      setTimeout(() => this.element.focus(), 0);
      return true;
    }
    const action = keyAction(event, this.#platform, this.#terminal.hasSelection());
    if (action === "copy") {
      event.preventDefault();
      void this.#copy().then((copied) => {
        if (copied) this.#terminal.clearSelection();
      });
    } else if (action === "search") {
      event.preventDefault();
      this.#listener.onSearch();
    }
    return action === "program";
  }

  async #copy(): Promise<boolean> {
    const text = this.#terminal.getSelection();
    if (text === "") return false;
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) {
      console.info("Clipboard:", error);
      this.#listener.onNotice("copyRefused");
      return false;
    }
    this.#listener.onNotice("copied");
    return true;
  }

  #paste(event: ClipboardEvent): void {
    event.preventDefault();
    event.stopImmediatePropagation();
    this.#pasteText(event.clipboardData?.getData("text/plain") ?? "");
  }

  #pasteText(pasted: string): void {
    const text = safePaste(pasted);
    if (new Blob([text]).size > maxPasteBytes) this.#listener.onNotice("pasteTooBig");
    else this.#terminal.paste(text);
  }

  /** Output is the lab's, not ours: nothing but web addresses, and whoever clicks is asked. */
  #link(address: string): void {
    const url = URL.parse(address);
    if (url !== null && /^https?:$/.test(url.protocol)) this.#listener.onLink(url);
  }

  /**
   * Programs ask terminals questions. The server's copy of the screen answers them, once, also
   * without any viewer; answers of each viewer would arrive as keys. OSC 52 would hand the clipboard
   * to whatever the lab prints.
   */
  #silenceReplies(): void {
    const { parser } = this.#terminal;
    const swallow = () => true;
    for (const id of [
      { final: "c" },
      { prefix: ">", final: "c" },
      { prefix: "=", final: "c" },
      { final: "n" },
      { prefix: "?", final: "n" },
      { prefix: ">", final: "q" },
      { intermediates: "$", final: "p" },
      { prefix: "?", intermediates: "$", final: "p" },
    ]) {
      parser.registerCsiHandler(id, swallow);
    }
    parser.registerDcsHandler({ intermediates: "$", final: "q" }, swallow);
    parser.registerOscHandler(52, swallow);
    for (const color of [4, 10, 11, 12]) {
      parser.registerOscHandler(color, (data) => data.includes("?"));
    }
  }
}

/**
 * Whether as many pixels lie under an element as the page is told; of one that is hidden, once it is shown. Where a
 * browser's tools emulate a finer screen they don't, and the WebGL addon, which goes by both, would draw beside its
 * canvas.
 */
function countsItsPixels(element: HTMLElement): Promise<boolean> {
  return new Promise((resolve) => {
    const observer = new ResizeObserver(([entry]) => {
      observer.disconnect();
      const counted = entry?.devicePixelContentBoxSize?.[0]?.inlineSize;
      const told = (entry?.contentRect.width ?? 0) * window.devicePixelRatio;
      resolve(counted === undefined || Math.abs(counted - told) <= 2);
    });
    try {
      observer.observe(element, { box: "device-pixel-content-box" });
    } catch {
      // A browser that can't say it; nor does the addon ask there.
      resolve(true);
    }
  });
}

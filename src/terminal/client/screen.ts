/** One xterm in the page: drawing, keys, clipboard and size. It knows nothing of servers. */
import { FitAddon } from "@xterm/addon-fit";
import { WebLinksAddon } from "@xterm/addon-web-links";
import type { WebglAddon } from "@xterm/addon-webgl";
import { Terminal } from "@xterm/xterm";
import { clampSize, type TerminalSize } from "../protocol.ts";
import { EscapeCounter, keyAction, platformOf } from "./keyboard.ts";
import { safePaste, safeTitle } from "./safe-text.ts";
import { type ThemeName, themes } from "./themes.ts";

const scrollbackLines = 5_000;
/** Keepers take 8 MiB of waiting input; a bigger paste would lose its end. */
const maxPasteBytes = 4 * 1024 * 1024;

export interface ScreenListener {
  onInput(bytes: Uint8Array): void;
  /** The size that this element has room for has changed. */
  onRoom(size: TerminalSize): void;
  onTitle(title: string): void;
  /** Something to tell the user. */
  onNotice(text: string): void;
}

export interface ScreenOptions {
  readonly theme: ThemeName;
  readonly screenReaderMode: boolean;
}

function openLink(_event: MouseEvent, uri: string): void {
  // Output is the lab's, not ours: nothing but web addresses, and no handle to this page.
  if (/^https?:\/\//i.test(uri)) window.open(uri, "_blank", "noopener,noreferrer");
}

export class Screen {
  /** Where focus goes when the keyboard leaves the terminal; Enter on it goes back in. */
  readonly element: HTMLElement;
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #listener: ScreenListener;
  readonly #observer: ResizeObserver;
  readonly #escapes = new EscapeCounter();
  readonly #platform = platformOf(navigator.userAgent);
  #room: TerminalSize | undefined;
  #roomTimer: number | undefined;
  #webgl: WebglAddon | "loading" | "unavailable" | undefined;

  /** `element` must be in the page and have its size. */
  constructor(element: HTMLElement, options: ScreenOptions, listener: ScreenListener) {
    this.element = element;
    this.#listener = listener;
    const style = getComputedStyle(element);
    this.#terminal = new Terminal({
      allowProposedApi: true,
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      fontFamily:
        style.getPropertyValue("--sl-font-mono").trim() || style.fontFamily || "monospace",
      fontSize: Number.parseFloat(style.fontSize) || 14,
      macOptionIsMeta: true,
      minimumContrastRatio: 4.5,
      rightClickSelectsWord: false,
      screenReaderMode: options.screenReaderMode,
      scrollback: scrollbackLines,
      theme: themes[options.theme],
    });
    this.#terminal.loadAddon(this.#fit);
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
    this.#terminal.options.theme = themes[theme];
  }

  setScreenReaderMode(on: boolean): void {
    this.#terminal.options.screenReaderMode = on;
  }

  setReadOnly(readOnly: boolean): void {
    this.#terminal.options.disableStdin = readOnly;
  }

  focus(): void {
    this.#terminal.focus();
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
    this.#terminal.onData((text) => this.#listener.onInput(encoder.encode(text)));
    this.#terminal.onBinary((text) =>
      this.#listener.onInput(Uint8Array.from(text, (character) => character.charCodeAt(0))),
    );
    this.#terminal.onTitleChange((title) => this.#listener.onTitle(safeTitle(title)));
    this.#terminal.attachCustomKeyEventHandler((event) => this.#key(event));
    this.element.addEventListener("keydown", (event) => {
      if (event.target !== this.element || event.key !== "Enter") return;
      event.preventDefault();
      this.focus();
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
      void this.#copy();
    }
    return action === "program";
  }

  async #copy(): Promise<void> {
    const text = this.#terminal.getSelection();
    if (text === "") return;
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) {
      console.info("Clipboard:", error);
      this.#listener.onNotice(
        "The browser did not allow copying: use the menu of the right button.",
      );
      return;
    }
    this.#terminal.clearSelection();
  }

  #paste(event: ClipboardEvent): void {
    event.preventDefault();
    event.stopImmediatePropagation();
    const text = safePaste(event.clipboardData?.getData("text/plain") ?? "");
    if (new Blob([text]).size > maxPasteBytes) {
      this.#listener.onNotice("Nothing was pasted: a terminal takes at most 4 MB at once.");
      return;
    }
    this.#terminal.paste(text);
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

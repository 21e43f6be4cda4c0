/** The screen of a terminal as the server knows it: what a viewer that comes late is shown. */
import { createRequire } from "node:module";
import type { TerminalSize } from "../../protocol.ts";
import { unfinishedTail } from "./escape-tail.ts";

// Both are CommonJS whose exports Node can't name ahead, so they come by require.
const require = createRequire(import.meta.url);
const { Terminal }: typeof import("@xterm/headless") = require("@xterm/headless");
const {
  SerializeAddon,
}: typeof import("@xterm/addon-serialize") = require("@xterm/addon-serialize");
type Terminal = import("@xterm/headless").Terminal;

/** Lines above the screen that are kept. */
export const scrollbackLines = 2_000;

/** Parsed in one turn of the event loop; about a millisecond, so that other terminals stay quick. */
const sliceBytes = 16 * 1024;
/** From here on plain text is fast-forwarded, and what can't be is parsed in slices. */
const backlogBytes = 512 * 1024;
/** Backlog at which the PTY should wait, and at which it may go on, bytes (inclusive). */
const fullBytes = 1024 * 1024;
const drainedBytes = 512 * 1024;
/** Plain output is parsed when nothing came for so long; what has escapes in it, at once. */
const idleMs = 30;
/** After so many plain bytes no escape sequence is still open, but for strings that swallow text. */
const settledBytes = 4096;
const tailBytes = 4096;

/**
 * Bytes that do more than draw and move to the next line: BEL (ends strings), SO, SI, CAN, SUB,
 * ESC, and 0xC2, which starts the C1 controls in UTF-8.
 */
const specialBytes = [0x07, 0x0e, 0x0f, 0x18, 0x1a, 0x1b, 0xc2];

/** What a shell that does not speak readline's language shows in front of the cursor. */
const promptText = /[#$%>] $/;
/** Bash's own sign that a command is not complete. */
const continuationPrompt = "> ";

/** State that xterm keeps and its serialize addon 0.14 leaves out. */
interface UnserializedState {
  cursorHidden: boolean;
  /** Mouse encoding, 1006 or 1016 of DECSET. */
  mouseEncoding: number | undefined;
  /** Parameter of DECSCUSR. */
  cursorStyle: number | undefined;
  /** DECSTBM: 1-based first and last line. */
  margins: readonly [number, number] | undefined;
}

function freshState(): UnserializedState {
  return {
    cursorHidden: false,
    mouseEncoding: undefined,
    cursorStyle: undefined,
    margins: undefined,
  };
}

function firstSpecial(bytes: Buffer): number {
  let first = bytes.byteLength;
  for (const special of specialBytes) {
    const index = bytes.subarray(0, first).indexOf(special);
    if (index >= 0) first = index;
  }
  return first;
}

function lastSpecial(bytes: Buffer): number {
  return Math.max(...specialBytes.map((special) => bytes.lastIndexOf(special)));
}

export interface Snapshot extends TerminalSize {
  readonly bytes: Buffer;
}

export interface MirrorListener {
  /** What a terminal answers to a program's questions: device attributes, cursor position. */
  onReply(text: string): void;
  /** `full` changed: the backlog asks for the PTY to wait, or no longer does. */
  onBacklog(): void;
}

/**
 * A headless xterm that parses behind the live stream, never before it. A flood of plain text is
 * fast-forwarded: lines that would have left the scrollback anyway are not parsed at all.
 */
export class Mirror implements Disposable {
  readonly #terminal: Terminal;
  readonly #serializer = new SerializeAddon();
  readonly #listener: MirrorListener;
  #state = freshState();
  #title = "";
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #full = false;
  /** Plain bytes parsed since the last special one. */
  #plainBytes = settledBytes;
  #tail: Buffer = Buffer.alloc(0);
  #slice: NodeJS.Immediate | undefined;
  #idle: NodeJS.Timeout | undefined;
  #skippedBytes = 0;
  #prompts = 0;
  #lineFeeds = 0;

  constructor(size: TerminalSize, listener: MirrorListener) {
    this.#listener = listener;
    this.#terminal = new Terminal({
      cols: size.columns,
      rows: size.rows,
      scrollback: scrollbackLines,
      allowProposedApi: true,
    });
    // The addon is typed for the browser's Terminal and uses of it what the headless one has too.
    this.#terminal.loadAddon(this.#serializer as unknown as Parameters<Terminal["loadAddon"]>[0]);
    this.#terminal.onData((text) => {
      if (text !== "") listener.onReply(text);
    });
    this.#terminal.onTitleChange((title) => {
      this.#title = title;
    });
    this.#terminal.onLineFeed(() => {
      this.#lineFeeds += 1;
    });
    this.#watchState();
  }

  /** Output that was not parsed yet, bytes. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Output that was fast-forwarded over, bytes, in all. */
  get skippedBytes(): number {
    return this.#skippedBytes;
  }

  /** Whether the PTY should wait until the backlog is smaller. */
  get full(): boolean {
    return this.#full;
  }

  /** Whether a full-screen program has the alternate screen. */
  get fullScreen(): boolean {
    this.flush();
    return this.#terminal.buffer.active.type === "alternate";
  }

  /** Whether the program wants pasted text marked as such. */
  get bracketedPaste(): boolean {
    this.flush();
    return this.#terminal.modes.bracketedPasteMode;
  }

  /** How often readline has begun to wait for a line. */
  get prompts(): number {
    this.flush();
    return this.#prompts;
  }

  /** Line feeds that were parsed; those that were fast-forwarded over are not among them. */
  get lineFeeds(): number {
    this.flush();
    return this.#lineFeeds;
  }

  /**
   * What waits for a new command: readline, which says so; something that looks like a prompt; or
   * nothing.
   */
  get prompt(): "readline" | "text" | undefined {
    this.flush();
    const { active } = this.#terminal.buffer;
    const line = active.getLine(active.baseY + active.cursorY);
    const before = line?.translateToString(false, 0, active.cursorX) ?? "";
    if (before === continuationPrompt) return undefined;
    if (this.#terminal.modes.bracketedPasteMode) return "readline";
    return promptText.test(before) ? "text" : undefined;
  }

  /** Takes the next output. `bytes` must not change later. */
  feed(bytes: Buffer): void {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.byteLength;
    if (this.#pendingBytes >= backlogBytes) {
      this.#fastForward();
      if (this.#pendingBytes >= backlogBytes / 2) this.#scheduleSlice();
    } else if (firstSpecial(bytes) < bytes.byteLength) {
      this.#scheduleSlice();
    }
    if (this.#idle === undefined) {
      this.#idle = setTimeout(() => {
        this.#idle = undefined;
        this.#scheduleSlice();
      }, idleMs);
    } else {
      this.#idle.refresh();
    }
    this.#updateFull();
  }

  /** Parses all that is pending, now. */
  flush(): void {
    if (this.#pendingBytes >= backlogBytes / 4) this.#fastForward();
    while (this.#pendingBytes > 0) this.#parse(this.#pendingBytes);
    this.#updateFull();
  }

  resize(size: TerminalSize): void {
    this.flush();
    this.#terminal.resize(size.columns, size.rows);
    // xterm drops margins when its size changes.
    this.#state.margins = undefined;
  }

  /** The screen as bytes that draw it on a fresh terminal of that size. `scrollback`: lines, at most. */
  snapshot(scrollback: number = scrollbackLines): Snapshot {
    this.flush();
    const { cols, rows } = this.#terminal;
    const text = this.#serializer.serialize({ scrollback });
    const bytes = Buffer.concat([
      Buffer.from(text + this.#unserialized(), "utf8"),
      unfinishedTail(this.#tail),
    ]);
    return { columns: cols, rows, bytes };
  }

  [Symbol.dispose](): void {
    clearImmediate(this.#slice);
    clearTimeout(this.#idle);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#terminal.dispose();
  }

  #scheduleSlice(): void {
    this.#slice ??= setImmediate(() => {
      this.#slice = undefined;
      this.#parse(sliceBytes);
      if (this.#pendingBytes > 0) this.#scheduleSlice();
      this.#updateFull();
    });
  }

  #updateFull(): void {
    const full = this.#full ? this.#pendingBytes > drainedBytes : this.#pendingBytes >= fullBytes;
    if (full === this.#full) return;
    this.#full = full;
    this.#listener.onBacklog();
  }

  #parse(maxBytes: number): void {
    let taken = 0;
    while (taken < maxBytes) {
      const head = this.#pending[0];
      if (head === undefined) return;
      const part = head.subarray(0, maxBytes - taken);
      if (part.byteLength === head.byteLength) this.#pending.shift();
      else this.#pending[0] = head.subarray(part.byteLength);
      this.#pendingBytes -= part.byteLength;
      taken += part.byteLength;
      this.#note(part);
      // xterm parses a write at once when input came before it, and later otherwise. A snapshot
      // has to hold all that viewers were sent, so later is too late.
      this.#terminal.input("", true);
      this.#terminal.write(part);
    }
  }

  #note(parsed: Buffer): void {
    const special = lastSpecial(parsed);
    if (special < 0) this.#plainBytes += parsed.byteLength;
    else this.#plainBytes = parsed.byteLength - special - 1;
    this.#tail =
      parsed.byteLength >= tailBytes
        ? parsed.subarray(parsed.byteLength - tailBytes)
        : Buffer.concat([
            this.#tail.subarray(Math.max(0, this.#tail.byteLength + parsed.byteLength - tailBytes)),
            parsed,
          ]);
  }

  /**
   * Drops whole lines of plain text that more than a screen and its scrollback of plain lines
   * follow. That changes nothing that can be seen: each of those lines scrolls the one before it
   * out, as long as no margins keep the screen from scrolling as one.
   */
  #fastForward(): void {
    const [head] = this.#pending;
    if (this.#state.margins !== undefined || head === undefined) return;
    if (firstSpecial(head) < head.byteLength) return;
    const pending = Buffer.concat(this.#pending, this.#pendingBytes);
    this.#pending = [pending];
    const end = firstSpecial(pending);
    const start = Math.max(0, settledBytes - this.#plainBytes);
    let cut = end;
    for (let lines = scrollbackLines + this.#terminal.rows + 2; lines > 0; lines--) {
      cut = cut > 0 ? pending.lastIndexOf(0x0a, cut - 1) : -1;
      if (cut < 0) return;
    }
    // From its carriage return on a line no longer depends on the one before.
    cut -= 1;
    if (pending[cut] !== 0x0d || cut <= start) return;
    this.#pending =
      start > 0 ? [pending.subarray(0, start), pending.subarray(cut)] : [pending.subarray(cut)];
    this.#pendingBytes -= cut - start;
    this.#skippedBytes += cut - start;
  }

  #unserialized(): string {
    const { cursorHidden, mouseEncoding, cursorStyle, margins } = this.#state;
    const { modes, buffer } = this.#terminal;
    let text = "";
    if (margins !== undefined) {
      const [top, bottom] = margins;
      const origin = modes.originMode ? top - 1 : 0;
      text += `\x1b[${top};${bottom}r`;
      text += `\x1b[${buffer.active.cursorY + 1 - origin};${buffer.active.cursorX + 1}H`;
    }
    if (mouseEncoding !== undefined) text += `\x1b[?${mouseEncoding}h`;
    if (cursorStyle !== undefined) text += `\x1b[${cursorStyle} q`;
    if (cursorHidden) text += "\x1b[?25l";
    if (this.#title !== "") text += `\x1b]2;${this.#title}\x07`;
    return text;
  }

  #watchState(): void {
    const { parser } = this.#terminal;
    const setModes = (params: (number | number[])[], on: boolean): boolean => {
      for (const mode of params) {
        if (mode === 25) this.#state.cursorHidden = !on;
        if (mode === 2004 && on) this.#prompts += 1;
        if (mode === 1006 || mode === 1016) this.#state.mouseEncoding = on ? mode : undefined;
      }
      return false;
    };
    parser.registerCsiHandler({ prefix: "?", final: "h" }, (params) => setModes(params, true));
    parser.registerCsiHandler({ prefix: "?", final: "l" }, (params) => setModes(params, false));
    parser.registerCsiHandler({ intermediates: " ", final: "q" }, (params) => {
      this.#state.cursorStyle = typeof params[0] === "number" ? params[0] : 0;
      return false;
    });
    parser.registerCsiHandler({ final: "r" }, (params) => {
      const { rows } = this.#terminal;
      const top = Number(params[0] ?? 0) || 1;
      const bottom = Math.min(Number(params[1] ?? 0) || rows, rows);
      // A region of one line or less is ignored by xterm.
      if (bottom > top) {
        this.#state.margins = top === 1 && bottom === rows ? undefined : [top, bottom];
      }
      return false;
    });
    const reset = (): boolean => {
      this.#state = freshState();
      return false;
    };
    parser.registerEscHandler({ final: "c" }, reset);
    parser.registerCsiHandler({ intermediates: "!", final: "p" }, reset);
  }
}

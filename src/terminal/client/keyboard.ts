/** Which keys the page keeps for itself, and which go to the program. */

export type Platform = "mac" | "windows" | "linux";

export function platformOf(userAgent: string): Platform {
  if (/Mac|iPhone|iPad/.test(userAgent)) return "mac";
  return /Windows/.test(userAgent) ? "windows" : "linux";
}

export type KeyAction =
  /** To the program. */
  | "program"
  /** Copy the selection; nothing goes to the program. */
  | "copy"
  /** Search in the output. */
  | "search"
  /** The browser's own: a paste follows as an event, a zoom happens; nothing goes to the program. */
  | "browser";

export type Key = Pick<
  KeyboardEvent,
  "code" | "key" | "ctrlKey" | "shiftKey" | "altKey" | "metaKey"
>;

const zoomCodes = ["Minus", "Equal", "Digit0", "NumpadAdd", "NumpadSubtract", "Numpad0"];

/**
 * Ctrl+Shift+C and Ctrl+Shift+V on Linux and Windows, with Ctrl+Insert and Shift+Insert; Cmd+C and
 * Cmd+V on a Mac. Ctrl+C is the program's, but on Windows with a selection, as in its own terminal.
 * Ctrl+Shift+F, or Cmd+F, searches. The browser keeps its zoom: Ctrl with +, − and 0.
 */
export function keyAction(key: Key, platform: Platform, hasSelection: boolean): KeyAction {
  const ctrl = key.ctrlKey && !key.altKey && !key.metaKey;
  if (platform === "mac") {
    const command = key.metaKey && !key.ctrlKey && !key.altKey;
    if (command && key.code === "KeyC") return hasSelection ? "copy" : "browser";
    if (command && key.code === "KeyF") return "search";
    return command ? "browser" : "program";
  }
  if (ctrl && key.shiftKey && key.code === "KeyC") return "copy";
  if (ctrl && key.shiftKey && key.code === "KeyV") return "browser";
  if (ctrl && key.shiftKey && key.code === "KeyF") return "search";
  if (ctrl && !key.shiftKey && zoomCodes.includes(key.code)) return "browser";
  if (ctrl && !key.shiftKey && key.code === "Insert") return "copy";
  if (!key.ctrlKey && key.shiftKey && key.code === "Insert") return "browser";
  if (platform === "windows" && ctrl && !key.shiftKey && key.code === "KeyC" && hasSelection) {
    return "copy";
  }
  return "program";
}

/** Presses of Esc that follow each other so soon count together, milliseconds. */
const escapeSpanMs = 500;

/**
 * Counts Esc. Two leave the terminal; three in a full-screen program, since two are a habit in vi.
 * All of them still go to the program, which may need them.
 */
export class EscapeCounter {
  #count = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** `true` when this key press leaves the terminal. */
  press(key: string, fullScreen: boolean, nowMs: number): boolean {
    if (key !== "Escape") {
      this.#count = 0;
      return false;
    }
    this.#count = nowMs - this.#lastMs <= escapeSpanMs ? this.#count + 1 : 1;
    this.#lastMs = nowMs;
    if (this.#count < (fullScreen ? 3 : 2)) return false;
    this.#count = 0;
    return true;
  }
}

/** What Ctrl with a character sends, as a terminal's keyboard has it; anything else stays as it is. */
export function controlKey(text: string): string {
  if (text === " ") return "\0";
  if (text === "?") return "\x7f";
  return /^[@-_a-z]$/.test(text)
    ? String.fromCharCode(text.toUpperCase().charCodeAt(0) & 0x1f)
    : text;
}

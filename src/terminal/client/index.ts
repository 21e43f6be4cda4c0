/** Terminals in the page. */
import "@xterm/xterm/css/xterm.css";
import "./terminals.css";
import { type LabTerminals, LabTerminalsView } from "./lab-terminals.ts";
import type { ThemeName } from "./themes.ts";

export type { LabTerminals, TerminalsStatus } from "./lab-terminals.ts";
export type { ThemeName } from "./themes.ts";

/**
 * Puts a lab's terminals into `element`, which gives them their size: the ones that are open, or a
 * new one. They reconnect by themselves, to the same shells.
 */
export function mountTerminals(
  element: HTMLElement,
  options: { readonly labId: string; readonly theme: ThemeName },
): LabTerminals {
  return new LabTerminalsView(element, options);
}

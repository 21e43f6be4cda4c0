/** Terminals in the page. */
import "@xterm/xterm/css/xterm.css";
import "./terminals.css";
import { type LabTerminals, LabTerminalsView, type TerminalsOptions } from "./lab-terminals.ts";

export { askDialog } from "./dialog.ts";
export { create, icon, iconButton } from "./dom.ts";
export type {
  GuestTab,
  LabTerminals,
  TabHandle,
  TerminalsOptions,
  TerminalsStatus,
} from "./lab-terminals.ts";
export type { RunAnswer, RunRequest } from "./runs.ts";
export type { ThemeName } from "./themes.ts";

/**
 * Puts a lab's terminals into `element`, which gives them their size: the ones that are open, and for each host
 * without any a new one. They reconnect by themselves, to the same shells.
 */
export function mountTerminals(element: HTMLElement, options: TerminalsOptions): LabTerminals {
  return new LabTerminalsView(element, options);
}

/** Terminals in the page. */
import xtermStyles from "@xterm/xterm/css/xterm.css?inline";
import { adoptStyles } from "./dom.ts";
import { type LabTerminals, LabTerminalsView, type TerminalsOptions } from "./lab-terminals.ts";
import terminalsStyles from "./terminals.css?inline";

export { askDialog } from "./dialog.ts";
export { adoptStyles, create, icon, iconButton } from "./dom.ts";
export type {
  GuestTab,
  LabTerminals,
  TabHandle,
  TerminalsOptions,
  TerminalsStatus,
} from "./lab-terminals.ts";
export type { RunAnswer, RunRequest } from "./runs.ts";
export type { ThemeName } from "./themes.ts";

adoptStyles(xtermStyles, terminalsStyles);

/**
 * Puts a lab's terminals into `element`, which gives them their size: the ones that are open, and for each host
 * without any a new one. They reconnect by themselves, to the same shells.
 */
export function mountTerminals(element: HTMLElement, options: TerminalsOptions): LabTerminals {
  return new LabTerminalsView(element, options);
}

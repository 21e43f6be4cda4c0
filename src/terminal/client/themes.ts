import type { ISearchDecorationOptions } from "@xterm/addon-search";
import type { ITheme } from "@xterm/xterm";

export type ThemeName = "light" | "dark";

/** Colours of the 16-colour palette; contrast is raised to 4.5 by xterm where a program picks badly. */
export const themes: Readonly<Record<ThemeName, ITheme>> = {
  dark: {
    background: "#0f1417",
    foreground: "#e3e7ee",
    cursor: "#ffa063",
    cursorAccent: "#0f1417",
    selectionBackground: "#34507f",
    selectionInactiveBackground: "#2a3a58",
    black: "#2b303b",
    red: "#ff7b72",
    green: "#7ee787",
    yellow: "#e3b341",
    blue: "#79b8ff",
    magenta: "#d2a8ff",
    cyan: "#67d4e0",
    white: "#cdd5e0",
    brightBlack: "#8b95a7",
    brightRed: "#ffa198",
    brightGreen: "#a5f0ac",
    brightYellow: "#f2cc60",
    brightBlue: "#a5d0ff",
    brightMagenta: "#e2c5ff",
    brightCyan: "#98e6ee",
    brightWhite: "#ffffff",
  },
  light: {
    background: "#fbfcfc",
    foreground: "#1f2530",
    cursor: "#a5470c",
    cursorAccent: "#fbfcfc",
    selectionBackground: "#b7d0fb",
    selectionInactiveBackground: "#d7e3f8",
    black: "#1f2530",
    red: "#b3261e",
    green: "#17692c",
    yellow: "#7a5600",
    blue: "#1b5fd0",
    magenta: "#7b3fb5",
    cyan: "#0c6674",
    white: "#5a6372",
    brightBlack: "#4a5261",
    brightRed: "#c93a31",
    brightGreen: "#1f7a37",
    brightYellow: "#8a6300",
    brightBlue: "#2f70e0",
    brightMagenta: "#8d52c8",
    brightCyan: "#127684",
    brightWhite: "#3a414e",
  },
};

/** Of what a search finds. */
export const searchColors: Readonly<Record<ThemeName, ISearchDecorationOptions>> = {
  dark: {
    matchBackground: "#33200f",
    matchBorder: "#ffa063",
    matchOverviewRuler: "#ffa063",
    activeMatchBackground: "#7a3f12",
    activeMatchBorder: "#ffd0ac",
    activeMatchColorOverviewRuler: "#ffd0ac",
  },
  light: {
    matchBackground: "#fbeadd",
    matchBorder: "#a5470c",
    matchOverviewRuler: "#a5470c",
    activeMatchBackground: "#f2b98e",
    activeMatchBorder: "#12181b",
    activeMatchColorOverviewRuler: "#12181b",
  },
};

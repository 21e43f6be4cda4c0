/** What a browser remembers of its terminals. */

export interface Settings {
  /** Pixels. */
  readonly fontSize: number;
  readonly copyOnSelect: boolean;
  readonly bell: boolean;
  readonly screenReader: boolean;
  /** The row of keys that a touch screen's keyboard lacks. */
  readonly touchKeys: boolean;
}

export const fontSizes = { min: 9, max: 28, default: 14 } as const;

const keys: Readonly<Record<keyof Settings, string>> = {
  fontSize: "patchbay.terminal.font-size",
  copyOnSelect: "patchbay.terminal.copy-on-select",
  bell: "patchbay.terminal.bell",
  screenReader: "patchbay.terminal.screen-reader",
  touchKeys: "patchbay.terminal.touch-keys",
};

/** A browser may refuse storage altogether; then a setting lasts as long as its page. */
function storage(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch (error) {
    console.info("Terminal settings are not remembered:", error);
    return undefined;
  }
}

/** Bounds a font size to what is offered; anything else is the default. */
export function boundFontSize(size: number): number {
  if (!Number.isInteger(size)) return fontSizes.default;
  return Math.min(fontSizes.max, Math.max(fontSizes.min, size));
}

/** `touch`: whether a finger is what the device has. */
export function readSettings(touch: boolean): Settings {
  const store = storage();
  const flag = (name: keyof Settings, byDefault: boolean) => {
    const value = store?.getItem(keys[name]);
    return value === "on" || (value !== "off" && byDefault);
  };
  return {
    fontSize: boundFontSize(Number(store?.getItem(keys.fontSize) ?? Number.NaN)),
    copyOnSelect: flag("copyOnSelect", false),
    bell: flag("bell", true),
    screenReader: flag("screenReader", false),
    touchKeys: flag("touchKeys", touch),
  };
}

export function rememberSetting<Name extends keyof Settings>(
  name: Name,
  value: Settings[Name],
): void {
  const text = typeof value === "boolean" ? (value ? "on" : "off") : String(value);
  storage()?.setItem(keys[name], text);
}

/** What a browser remembers of its terminals. */

const screenReaderKey = "patchbay.terminal.screen-reader";

/** A browser may refuse storage altogether; then a switch lasts as long as its page. */
function storage(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch (error) {
    console.info("Terminal settings are not remembered:", error);
    return undefined;
  }
}

export function screenReaderMode(): boolean {
  return storage()?.getItem(screenReaderKey) === "on";
}

export function rememberScreenReaderMode(on: boolean): void {
  storage()?.setItem(screenReaderKey, on ? "on" : "off");
}

/** How a command from a lesson is typed into a shell. */

// Everything but tab and line ends: a lesson's text must not press keys that it doesn't show.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const controlCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;

/** Ctrl-E and Ctrl-U: takes away what stands half typed at a prompt. Readline keeps it for Ctrl-Y. */
export const clearLine: Buffer = Buffer.from([0x05, 0x15]);

/**
 * The bytes that type `command` and press Enter. Several lines are marked as a paste where the
 * shell asked for it, so that it takes them as one.
 */
export function typeCommand(command: string, bracketedPaste: boolean): Buffer {
  const text = command.replace(controlCharacters, "").replace(/\r?\n/g, "\r").replace(/\r+$/, "");
  const marked = bracketedPaste && text.includes("\r") ? `\x1b[200~${text}\x1b[201~` : text;
  return Buffer.from(`${marked}\r`, "utf8");
}

/** Starting a process on a new PTY through node-pty's native part. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import type { PtyCommand } from "../../../../sandbox/index.ts";
import type { TerminalSize } from "../../protocol.ts";

/** The part of node-pty's native module that we use; its own `src/native.d.ts` is not published. */
interface NativePty {
  fork(
    file: string,
    args: readonly string[],
    env: readonly string[],
    cwd: string,
    columns: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helperPath: string,
    onExit: (code: number, signal: number) => void,
  ): { readonly fd: number; readonly pid: number; readonly pty: string };
  resize(fd: number, columns: number, rows: number): void;
}

interface LoadedNative {
  readonly dir: string;
  readonly module: NativePty;
}

const require = createRequire(import.meta.url);

// node-pty's JavaScript owns the descriptor in ways that cross input between terminals and lose
// the last output (see pty.ts), so only its native half is used, found by its own loader.
const native: LoadedNative = require("node-pty/lib/utils").loadNativeModule("pty");

/**
 * forkpty's master descriptors are not close-on-exec (node-pty 1.1.0, src/unix/pty.cc), so each new
 * shell would inherit the masters of all older ones and could type into them. dash has no
 * descriptors above 9, hence bash, which changes the environment: env(1) sets it anew.
 * macOS spawns with POSIX_SPAWN_CLOEXEC_DEFAULT and needs none of it.
 */
const closeInherited = [
  "for path in /proc/self/fd/*; do",
  'fd="$' + '{path##*/}"; ((fd > 2)) && eval "exec $fd>&-";',
  'done; exec /usr/bin/env -i "$@"',
].join(" ");

const bash =
  process.platform === "linux"
    ? ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"].find((path) => existsSync(path))
    : undefined;

export interface SpawnedPty {
  /** The PTY's master, non-blocking. */
  readonly fd: number;
  /** Leader of its own session and process group. */
  readonly pid: number;
}

/** The environment of a shell: what its command says, and PATH, HOME, LANG and TERM where it doesn't. */
export function terminalEnvironment(command: PtyCommand): Readonly<Record<string, string>> {
  return {
    PATH: process.env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: process.env["HOME"] ?? "/",
    LANG: process.env["LANG"] ?? "C.UTF-8",
    TERM: "xterm-256color",
    ...command.env,
  };
}

/**
 * Spawns `command` on a new PTY. Blocks the event loop for some milliseconds. Throws what the
 * kernel said where no PTY can be had; a file that can't be run is told in the terminal.
 */
export function spawnPty(
  command: PtyCommand,
  size: TerminalSize,
  onExit: (code: number, signal: number) => void,
): SpawnedPty {
  const env = Object.entries(terminalEnvironment(command)).map(
    ([name, value]) => `${name}=${value}`,
  );
  const file = bash ?? command.file;
  const args = bash
    ? ["-c", closeInherited, "patchbay-terminal", ...env, command.file, ...command.args]
    : command.args;
  return native.module.fork(
    file,
    args,
    env,
    "/",
    size.columns,
    size.rows,
    -1,
    -1,
    true,
    `${native.dir}/spawn-helper`,
    onExit,
  );
}

/** Sets the size of the PTY behind `fd`. The caller makes sure that `fd` is still that PTY. */
export function resizePty(fd: number, size: TerminalSize): void {
  native.module.resize(fd, size.columns, size.rows);
}

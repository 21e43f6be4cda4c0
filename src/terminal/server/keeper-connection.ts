/** Reaching the keeper of a lab, and starting one where none runs. */
import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  type ControlReply,
  type ControlRequest,
  controlFrameBytes,
  controlVersion,
} from "./control.ts";
import { TerminalError } from "./errors.ts";
import { FrameReader, frame } from "./framing.ts";

/** sun_path of a unix socket has 108 bytes on Linux and 104 on macOS, with a final NUL. */
const maxSocketPathBytes = 103;
const startTimeoutMs = 15_000;
const startPollMs = 10;
const replyTimeoutMs = 10_000;
/** Type stripping without a flag, and `node:sqlite`. */
const minNodeMajor = 24;
const labIdPattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

const keeperMain = fileURLToPath(new URL("./keeper/main.ts", import.meta.url));

export interface KeeperPaths {
  readonly folder: string;
  readonly socket: string;
  readonly lock: string;
  readonly log: string;
}

/** Where a lab's keeper lives. Throws `TerminalError` `lab-id-invalid`, `socket-path-too-long`. */
export function keeperPaths(stateDir: string, labId: string): KeeperPaths {
  if (!labIdPattern.test(labId)) {
    throw new TerminalError(
      "lab-id-invalid",
      "a lab id is 1 to 63 characters of a-z, 0-9 and -, and does not start with -",
    );
  }
  const folder = join(stateDir, "terminals");
  const socket = join(folder, `${labId}.sock`);
  if (Buffer.byteLength(socket) > maxSocketPathBytes) {
    throw new TerminalError(
      "socket-path-too-long",
      `${socket} is longer than the ${maxSocketPathBytes} bytes that a unix socket's path may have: set PATCHBAY_STATE_DIR to a folder with a shorter path`,
    );
  }
  return {
    folder,
    socket,
    lock: join(folder, `${labId}.lock`),
    log: join(folder, `${labId}.log`),
  };
}

/** Connects, or `undefined` where no keeper listens, also behind a stale socket file. */
export function connectKeeper(paths: KeeperPaths): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(paths.socket);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      resolve(socket);
    });
    socket.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT" || cause.code === "ECONNREFUSED") resolve(undefined);
      else {
        reject(
          new TerminalError("keeper-unreachable", `${paths.socket}: ${cause.message}`, { cause }),
        );
      }
    });
  });
}

/**
 * What a keeper inherits: nothing of the server's own environment but what shells need anyway. The
 * compile cache spares all keepers but the first the type stripper, 27 MB of 84 (measured).
 */
function keeperEnvironment(folder: string): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { NODE_COMPILE_CACHE: join(folder, "compile-cache") };
  for (const name of ["PATH", "HOME", "LANG"]) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

function complaint(logPath: string): string {
  const lines = readFileSync(logPath, "utf8").trim().split("\n");
  return lines.find((line) => /Error\b/.test(line)) ?? lines.at(-1) ?? "";
}

/**
 * Starts a keeper, detached, and connects to it. Where several are started at once, one of them
 * serves and the others end. Throws `TerminalError` `keeper-start-failed` with the log's last words.
 */
export async function startKeeper(paths: KeeperPaths): Promise<Socket> {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < minNodeMajor) {
    throw new TerminalError(
      "keeper-start-failed",
      `terminals need Node ${minNodeMajor} or newer, and ${process.execPath} is ${process.version}: start Patchbay with npm start, which brings its own`,
    );
  }
  mkdirSync(paths.folder, { recursive: true, mode: 0o700 });
  const log = openSync(paths.log, "w", 0o600);
  const child = spawn(process.execPath, [keeperMain, paths.socket, paths.lock], {
    cwd: "/",
    detached: true,
    env: keeperEnvironment(paths.folder),
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  child.unref();
  const failed = new Promise<never>((_, reject) => {
    child.once("error", reject);
  });
  const ready = async (): Promise<Socket> => {
    const deadlineMs = performance.now() + startTimeoutMs;
    let connected: Socket | undefined;
    while (connected === undefined && performance.now() < deadlineMs) {
      await sleep(startPollMs);
      connected = await connectKeeper(paths);
      // Code 3: another keeper has this lab, and listens in a moment if not yet.
      if (child.exitCode !== null && child.exitCode !== 3) break;
    }
    if (connected !== undefined) return connected;
    throw new Error(complaint(paths.log) || `no answer, exit code ${child.exitCode}`);
  };
  try {
    return await Promise.race([failed, ready()]);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TerminalError(
      "keeper-start-failed",
      `the process that keeps this lab's shells did not start: ${why.trim()}. Its log is ${paths.log}`,
      { cause },
    );
  }
}

/** A request without the version, which `ask` adds. */
export type KeeperRequest = ControlRequest extends infer Request
  ? Request extends ControlRequest
    ? Omit<Request, "version">
    : never
  : never;

export type KeeperState = Extract<ControlReply, { readonly ok: true }>;

/**
 * Sends a request and reads the reply. Frames that follow the reply go to `onFrame`. Throws the
 * keeper's `TerminalError`, or `keeper-unreachable` when the connection ends without an answer.
 */
export function ask(
  socket: Socket,
  request: KeeperRequest,
  onFrame?: (body: Buffer) => void,
): Promise<KeeperState> {
  return new Promise((resolve, reject) => {
    // Snapshots are the biggest frames: a full scrollback of wide coloured lines.
    const reader = new FrameReader(onFrame === undefined ? controlFrameBytes : 256 * 1024 * 1024);
    let answered = false;
    const settle = (reply: ControlReply): void => {
      answered = true;
      clearTimeout(timer);
      if (reply.ok) resolve(reply);
      else reject(new TerminalError(reply.error.code, reply.error.message));
    };
    const lost = (why: string, cause?: unknown): void => {
      clearTimeout(timer);
      socket.destroy();
      if (!answered) {
        reject(new TerminalError("keeper-unreachable", `the lab's terminals: ${why}`, { cause }));
      }
    };
    const timer = setTimeout(() => lost(`no answer in ${replyTimeoutMs} ms`), replyTimeoutMs);
    socket.on("data", (chunk) => {
      try {
        reader.push(chunk, (body) => {
          if (answered) onFrame?.(body);
          else settle(JSON.parse(body.toString("utf8")) as ControlReply);
        });
      } catch (cause) {
        lost("an answer that makes no sense", cause);
      }
    });
    socket.on("error", (cause) => lost(cause.message, cause));
    socket.on("close", () => lost("the connection ended"));
    const body = JSON.stringify({ version: controlVersion, ...request });
    socket.write(frame(Buffer.from(body, "utf8")));
  });
}

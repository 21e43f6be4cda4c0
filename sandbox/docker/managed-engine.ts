import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SandboxError } from "../errors.ts";
import { type DockerCommand, dockerCommand } from "./command.ts";

/** Where a managed engine keeps what. */
export interface ManagedEnginePaths {
  /** Images, containers, volumes: outlives the engine. */
  readonly dataRoot: string;
  /** Socket, pid file, exec root, log: gone with the machine. */
  readonly runDirectory: string;
}

/** Other folders make another engine: tests have one of their own, and never touch anybody's labs. */
export const managedEnginePaths: ManagedEnginePaths = {
  dataRoot: process.env["PATCHBAY_ENGINE_DATA"] ?? "/var/lib/patchbay/engine",
  runDirectory: process.env["PATCHBAY_ENGINE_RUN"] ?? "/run/patchbay",
};

const START_TIMEOUT_MS = 30_000;

const socketOf = (paths: ManagedEnginePaths): string => join(paths.runDirectory, "docker.sock");
/** Where the managed engine of this machine listens. */
export const managedEngineSocket = socketOf(managedEnginePaths);

const pidFileOf = (paths: ManagedEnginePaths): string => join(paths.runDirectory, "docker.pid");

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: "/_ping", timeout: 2000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on("timeout", () => ping.destroy());
    ping.on("error", () => resolve(false));
    ping.end();
  });
}

/** The pid of the managed engine, when its pid file names a process that is in fact ours. */
function runningPid(paths: ManagedEnginePaths): number | undefined {
  try {
    const pid = Number(readFileSync(pidFileOf(paths), "utf8"));
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return commandLine.includes(paths.dataRoot) ? pid : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * `--userns-remap=default` maps the root of every lab to `dockremap`, which needs a range of
 * subordinate ids (subuid(5)). Appends one above all that are taken; changes nothing that is there.
 */
function ensureSubordinateIds(): void {
  for (const file of ["/etc/subuid", "/etc/subgid"]) {
    const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").filter(Boolean) : [];
    if (lines.some((line) => line.startsWith("dockremap:"))) continue;
    const ends = lines.map((line) => {
      const [, start = "0", count = "0"] = line.split(":");
      return Number(start) + Number(count);
    });
    appendFileSync(file, `dockremap:${Math.max(100_000, ...ends)}:65536\n`);
  }
}

/**
 * A killed engine takes its containerd along, whose process may stay as a zombie until somebody reaps it: the next
 * engine would take it for alive and wait for it in vain.
 */
function forgetDeadContainerd(paths: ManagedEnginePaths): void {
  const pidFile = join(paths.runDirectory, "exec", "containerd", "containerd.pid");
  try {
    const pid = readFileSync(pidFile, "utf8").trim();
    const state = readFileSync(`/proc/${pid}/stat`, "utf8").match(/\) (\S)/)?.[1];
    if (state === "Z") rmSync(pidFile, { force: true });
  } catch (error) {
    // No file, or no process: the engine knows what to do.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ESRCH") throw error;
  }
}

function tail(file: string): string {
  return existsSync(file)
    ? readFileSync(file, "utf8").trimEnd().split("\n").slice(-8).join("\n")
    : "";
}

/**
 * Starts Patchbay's own dockerd unless it runs: user namespace remapping, its own data root, exec
 * root, pid file and socket, so that an engine already on the machine is neither used nor disturbed.
 * Resolves with the path of its socket. Throws `SandboxError` `engine-unreachable`.
 */
export async function ensureManagedEngine(paths = managedEnginePaths): Promise<string> {
  const socketPath = socketOf(paths);
  if (await answers(socketPath)) return socketPath;
  if (process.getuid?.() !== 0) {
    throw new SandboxError(
      "engine-unreachable",
      "The managed engine does not run, and starting it needs root. Run the same command with sudo.",
    );
  }
  const found: SpawnSyncReturns<Buffer> = spawnSync("dockerd", ["--version"]);
  if (found.error) {
    throw new SandboxError(
      "engine-unreachable",
      "There is no dockerd on this machine. Run: apt-get install -y --no-install-recommends docker.io",
    );
  }
  ensureSubordinateIds();
  mkdirSync(paths.dataRoot, { recursive: true });
  mkdirSync(paths.runDirectory, { recursive: true });
  if (runningPid(paths) === undefined) {
    // Left by a crash or a power cut: dockerd refuses to start over a pid file whose number lives on.
    rmSync(pidFileOf(paths), { force: true });
    rmSync(socketPath, { force: true });
    forgetDeadContainerd(paths);
  }
  const logFile = join(paths.runDirectory, "engine.log");
  const log = openSync(logFile, "a", 0o600);
  const daemon = spawn(
    "dockerd",
    [
      ...["--data-root", paths.dataRoot],
      ...["--exec-root", join(paths.runDirectory, "exec")],
      ...["--pidfile", pidFileOf(paths)],
      ...["--host", `unix://${socketPath}`],
      ...["--userns-remap", "default"],
      // Its own networks only: a docker0 may belong to another engine.
      ...["--bridge", "none"],
      ...["--default-address-pool", "base=10.201.0.0/16,size=24"],
      "--live-restore",
    ],
    { detached: true, stdio: ["ignore", log, log] },
  );
  let ended = false;
  daemon.on("error", () => {
    ended = true;
  });
  daemon.on("exit", () => {
    ended = true;
  });
  daemon.unref();
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(socketPath))) {
    if (ended || performance.now() > deadlineMs) {
      throw new SandboxError(
        "engine-unreachable",
        `The managed engine did not start. Its log, ${logFile}, ends with:\n${tail(logFile)}`,
      );
    }
    await sleep(100);
  }
  return socketPath;
}

/** Ends every process in the labs of an engine. The labs stay, stopped, with their files. */
export async function stopLabs(docker: DockerCommand): Promise<void> {
  const ids = async (label: string) =>
    (await docker("ps", "--quiet", "--filter", `label=${label}`)).split("\n").filter(Boolean);
  const stewards = await ids("patchbay.role=steward");
  const hosts = await ids("patchbay.key");
  const [steward] = stewards;
  if (steward !== undefined) {
    // What is frozen in a lab can't be ended.
    await docker("exec", steward, "python3", "/usr/lib/patchbay/hand", "leave", ...hosts);
  }
  if (hosts.length > 0) await docker("stop", ...hosts);
  if (stewards.length > 0) await docker("rm", "--force", "--volumes", ...stewards);
}

/** Takes away what is mounted below an engine's folders: an engine that was killed leaves its containers' layers. */
function unmountAll(paths: ManagedEnginePaths): void {
  const folders = [paths.dataRoot, paths.runDirectory].map((folder) => `${folder}/`);
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    // As proc(5) writes white space and backslashes.
    .map((path) => path.replace(/\\(\d{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8))))
    .filter((path) => folders.some((folder) => path.startsWith(folder)));
  // The last one may lie in the ones before.
  for (const path of mounts.reverse()) spawnSync("umount", [path]);
}

/** Ends the managed engine, after the labs on it, and leaves nothing mounted. */
export async function stopManagedEngine(paths = managedEnginePaths): Promise<void> {
  const pid = runningPid(paths);
  if (pid !== undefined) await end(pid, paths);
  // Whatever still answers there is not ours to take the ground from.
  if (!(await answers(socketOf(paths)))) unmountAll(paths);
}

async function end(pid: number, paths: ManagedEnginePaths): Promise<void> {
  await stopLabs(dockerCommand(`unix://${socketOf(paths)}`));
  process.kill(pid, "SIGTERM");
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  while (runningPid(paths) !== undefined) {
    if (performance.now() > deadlineMs) {
      throw new SandboxError(
        "engine-unreachable",
        `The managed engine (pid ${pid}) did not end within ${START_TIMEOUT_MS / 1000} s of SIGTERM.`,
      );
    }
    await sleep(100);
  }
}

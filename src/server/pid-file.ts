import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const fileIn = (stateDir: string) => join(stateDir, "server.pid");

/** Writes down this process as the course server of a state directory, until disposed. */
export function claimPidFile(stateDir: string): Disposable {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  writeFileSync(fileIn(stateDir), `${process.pid}\n`);
  return { [Symbol.dispose]: () => rmSync(fileIn(stateDir), { force: true }) };
}

/** The pid of the course server that runs with a state directory, checked to be one. */
export function runningServer(stateDir: string): number | undefined {
  try {
    const pid = Number(readFileSync(fileIn(stateDir), "utf8"));
    // The number may be another process's by now.
    const { stdout } = spawnSync("ps", ["-p", String(pid), "-o", "args="], { encoding: "utf8" });
    const programs = ["src/server/main.ts", "scripts/start.mjs"];
    return programs.some((program) => stdout.includes(program)) ? pid : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

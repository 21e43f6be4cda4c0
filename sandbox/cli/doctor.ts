import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import { type EngineDescription, SandboxError } from "../index.ts";
import { colorsFor } from "./colors.ts";
import { chosenEngine, exitCodes, openEngine } from "./command-line.ts";

interface Finding {
  readonly name: string;
  readonly ok: boolean;
  readonly value: string;
  /** What to do where it is not there. */
  readonly fix?: string;
}

const GIB = 2 ** 30;

function commandVersion(command: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8", timeout: 10_000 });
  return status === 0 ? stdout.split("\n")[0]?.trim() : undefined;
}

function system(): string {
  const release = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const name = release.match(/^PRETTY_NAME="?([^"\n]*)/m)?.[1] ?? os.type();
  return `${name}, kernel ${os.release()}, ${os.arch()}`;
}

function machine(): Finding[] {
  const memory = os.totalmem() / GIB;
  const docker = commandVersion("docker", ["--version"]);
  return [
    { name: "System", ok: true, value: system() },
    { name: "Node", ok: true, value: process.version },
    {
      name: "Machine",
      ok: memory >= 2,
      value: `${os.cpus().length} cores, ${memory.toFixed(1)} GiB memory`,
      fix: "A lab may use up to 2 GiB.",
    },
    {
      name: "Docker command",
      ok: docker !== undefined,
      value: docker ?? "missing",
      fix: "Run: apt-get install -y --no-install-recommends docker.io",
    },
  ];
}

/** Kernel features that the course uses, looked for in the running kernel and its modules. */
function kernelFeatures(): Finding[] {
  if (process.platform !== "linux") return [];
  const filesystems = readFileSync("/proc/filesystems", "utf8");
  const limit = "/proc/sys/user/max_user_namespaces";
  const userNamespaces = existsSync(limit) ? Number(readFileSync(limit, "utf8")) : 0;
  return [
    {
      name: "overlayfs",
      ok: filesystems.includes("\toverlay\n"),
      value: filesystems.includes("\toverlay\n") ? "there" : "not loaded",
      fix: "Run: modprobe overlay",
    },
    {
      name: "user namespaces",
      ok: userNamespaces > 0,
      value: `at most ${userNamespaces}`,
      fix: "Run: sysctl user.max_user_namespaces=10000",
    },
  ];
}

/** runc's version, and what it means for the walls of labs. */
function runtimeMeaning(runtime: string): string {
  const [, major, minor, patch] = /^runc (\d+)\.(\d+)\.(\d+)/.exec(runtime) ?? [];
  if (major === undefined) return runtime;
  const number = (Number(major) * 1000 + Number(minor)) * 1000 + Number(patch);
  if (number >= 1_002_008) return runtime;
  return `${runtime}: older than 1.2.8, which has the fixes of CVE-2025-31133, -52565 and -52881, unless the distribution has added them`;
}

async function engine(option: string | undefined): Promise<{
  readonly findings: readonly Finding[];
  readonly description?: EngineDescription;
}> {
  try {
    await using sandbox = await openEngine(option);
    const description = await sandbox.describe();
    const labs = (await sandbox.list()).length;
    const room = await sandbox.room();
    return {
      description,
      findings: [
        { name: "Engine", ok: true, value: `${description.name}, ${description.version}` },
        {
          name: "Isolation",
          ok: true,
          value: `${description.isolation}: ${description.isolationMeaning}`,
        },
        { name: "Runtime", ok: true, value: runtimeMeaning(description.runtime) },
        {
          name: "Left",
          ok: room.diskBytes > GIB,
          value: `${(room.memoryBytes / GIB).toFixed(1)} GiB memory, ${(room.diskBytes / GIB).toFixed(1)} GiB disk where labs lie`,
          fix: "Make room on the disk: a lab may take up to 4 GiB of it.",
        },
        { name: "cgroups", ok: true, value: `version ${description.cgroupVersion}` },
        { name: "Labs", ok: true, value: String(labs) },
      ],
    };
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    const value = chosenEngine(option) ?? "none";
    return { findings: [{ name: "Engine", ok: false, value, fix: error.message }] };
  }
}

/** Says what the machine has and what is missing; resolves with the exit code. */
export async function doctor(options: {
  readonly engine: string | undefined;
  readonly json: boolean;
}): Promise<number> {
  const { findings, description } = await engine(options.engine);
  const all = [...machine(), ...kernelFeatures(), ...findings];
  const ok = all.every((finding) => finding.ok);
  if (options.json) {
    const value = { ok, engine: description ?? null, findings: all };
    process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
    return ok ? exitCodes.passed : exitCodes.broken;
  }
  const colors = colorsFor(process.stdout);
  const width = Math.max(...all.map(({ name }) => name.length));
  for (const { name, ok: fine, value, fix } of all) {
    const mark = fine ? colors.green("✔") : colors.red("✖");
    process.stdout.write(`${mark} ${name.padEnd(width)}  ${value}\n`);
    if (!fine && fix !== undefined) process.stdout.write(`  ${" ".repeat(width)}  ${fix}\n`);
  }
  return ok ? exitCodes.passed : exitCodes.broken;
}

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { SandboxError } from "../errors.ts";
import type { IsolationRung, ProgressListener } from "../index.ts";
import { engineClient } from "./address.ts";
import { isolationOf } from "./isolation.ts";
import { ensureManagedEngine, managedEngineSocket } from "./managed-engine.ts";

const MANAGED = "managed";

/** The address that the docker command would use: `DOCKER_HOST`, else the current context's. */
function defaultAddress(): string {
  const fromEnvironment = process.env["DOCKER_HOST"];
  if (fromEnvironment) return fromEnvironment;
  const fallback = "unix:///var/run/docker.sock";
  const format = "{{.Endpoints.docker.Host}}";
  const shown = spawnSync("docker", ["context", "inspect", "--format", format], {
    encoding: "utf8",
    timeout: 5000,
  });
  return shown.status === 0 && shown.stdout.includes("://") ? shown.stdout.trim() : fallback;
}

type Reached =
  | { readonly isolation: IsolationRung; readonly failure?: undefined }
  | { readonly failure: string };

async function reach(address: string): Promise<Reached> {
  try {
    return { isolation: isolationOf(await engineClient(address).info()) };
  } catch (error) {
    if (error instanceof SandboxError) throw error;
    return { failure: (error as Error).message };
  }
}

const canManage = (): boolean => process.platform === "linux" && process.getuid?.() === 0;

const hasDockerd = (): boolean => {
  try {
    execFileSync("sh", ["-c", "command -v dockerd"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

/** An engine that answers. */
export interface ChosenEngine {
  /** As `DOCKER_HOST` takes it. */
  readonly address: string;
  /** What an operator calls it. */
  readonly name: string;
}

async function managed(onProgress: ProgressListener): Promise<ChosenEngine> {
  onProgress({ title: "Managed Docker engine" });
  return { address: `unix://${await ensureManagedEngine()}`, name: "managed engine" };
}

const existing = (address: string): ChosenEngine => ({ address, name: `engine at ${address}` });

/**
 * Chooses an engine. `wanted` is `managed`, an address, or nothing: then the best that is there, which
 * is the managed engine where it runs; else the machine's own engine where that one keeps labs apart
 * from the machine; else the managed engine where it can be started; else the machine's own.
 * Throws `SandboxError` `engine-unreachable` with what to do.
 */
export async function chooseEngine(
  wanted: string | undefined,
  onProgress: ProgressListener,
): Promise<ChosenEngine> {
  if (wanted === MANAGED) return managed(onProgress);
  if (wanted !== undefined) {
    const reached = await reach(wanted);
    if (reached.failure === undefined) return existing(wanted);
    throw new SandboxError(
      "engine-unreachable",
      `No engine answers at ${wanted}: ${reached.failure}. Start that engine, or choose another with --engine.`,
    );
  }
  if (existsSync(managedEngineSocket) && canManage()) return managed(onProgress);
  const address = defaultAddress();
  const reached = await reach(address);
  if (reached.failure === undefined && reached.isolation !== "privileged") return existing(address);
  if (canManage() && hasDockerd()) return managed(onProgress);
  if (reached.failure === undefined) return existing(address);
  const advice =
    process.platform !== "linux"
      ? "Start Docker Desktop and run the command again."
      : canManage()
        ? "Run: apt-get install -y --no-install-recommends docker.io"
        : "Run the command with sudo, so that Patchbay can start an engine of its own, or start Docker and join its group: sudo usermod -aG docker $USER";
  throw new SandboxError(
    "engine-unreachable",
    `No Docker engine answers at ${address} (${reached.failure}). ${advice}`,
  );
}

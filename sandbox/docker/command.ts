import { spawn } from "node:child_process";
import { SandboxError } from "../errors.ts";

/**
 * Runs a command and resolves with its stdout, without the last newline.
 * Throws `SandboxError` `lab-start-failed` with the end of its stderr.
 */
export function output(file: string, args: readonly string[], env = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr = (stderr + chunk).slice(-4000);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) return resolve(stdout.trimEnd());
      const why = stderr.trimEnd().split("\n").slice(-8).join("\n");
      const what = `${file} ${args.slice(0, 2).join(" ")}`;
      reject(new SandboxError("lab-start-failed", `${what} ended with code ${code}:\n${why}`));
    });
  });
}

/** The docker command line against one engine. */
export type DockerCommand = (...args: readonly string[]) => Promise<string>;

/** `address` is what `DOCKER_HOST` takes: `unix:///run/patchbay/docker.sock`. */
export function dockerCommand(address: string): DockerCommand {
  // The legacy builder needs no buildx on the machine; the image's own files are all it copies.
  const env = { DOCKER_HOST: address, DOCKER_BUILDKIT: "0" };
  return (...args) => output("docker", args, env);
}

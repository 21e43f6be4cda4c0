import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type Dockerode from "dockerode";
import { SandboxError } from "../errors.ts";
import { engineClient } from "./address.ts";

/**
 * A container to build something in, which ends with this process, however that ends: its first process reads a pipe
 * of ours, and with it ends, and is removed, all that was run in the container.
 */
export class BuildContainer implements AsyncDisposable {
  readonly id: string;
  readonly #docker: Dockerode;
  readonly #lifeline: ChildProcess;

  private constructor(docker: Dockerode, id: string, lifeline: ChildProcess) {
    this.#docker = docker;
    this.id = id;
    this.#lifeline = lifeline;
  }

  /** `address` as `DOCKER_HOST` takes it; throws `SandboxError` `lab-start-failed` where it does not start. */
  static async start(
    address: string,
    Image: string,
    HostConfig: Dockerode.HostConfig,
  ): Promise<BuildContainer> {
    const docker = engineClient(address);
    const { id } = await docker.createContainer({
      // So that an operator sees what it is. A label would stay in an image that is made of it.
      name: `patchbay-build-${randomBytes(4).toString("hex")}`,
      Image,
      Entrypoint: ["sh", "-c", "echo runs; exec cat >/dev/null"],
      Cmd: [],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      AttachStdout: true,
      HostConfig: { ...HostConfig, AutoRemove: true },
    });
    const lifeline = spawn("docker", ["start", "--attach", "--interactive", id], {
      env: { ...process.env, DOCKER_HOST: address },
      stdio: ["pipe", "pipe", "ignore"],
      // Ctrl-C is for this process; the pipe says the rest.
      detached: true,
    });
    lifeline.stdin.on("error", () => undefined);
    const container = new BuildContainer(docker, id, lifeline);
    const runs = await Promise.race([
      once(lifeline.stdout, "data").then(() => true),
      once(lifeline, "close").then(() => false),
    ]);
    if (runs) return container;
    await container[Symbol.asyncDispose]();
    throw new SandboxError("lab-start-failed", `A build container of ${Image} did not start.`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lifeline.stdin?.end();
    await this.#docker
      .getContainer(this.id)
      .remove({ force: true, v: true })
      .catch((error) => {
        // Gone, or going by itself.
        if (![404, 409].includes(error.statusCode)) throw error;
      });
  }
}

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { SandboxError, type SandboxErrorCode } from "../errors.ts";
import type { DockerCommand } from "./command.ts";

const CAPABILITIES = [
  ...["SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT"], // enter namespaces, read what /proc links to
  ...["NET_ADMIN", "NET_RAW"], // read netfilter, send and see echoes
  ...["DAC_READ_SEARCH", "DAC_OVERRIDE", "CHOWN"], // reach the inner engine's socket, give cgroups
];

/**
 * Starts the engine's trusted sidecar, which runs `hand.py` from the lab host's image: the engine's
 * pid and user namespaces, no network, no lab's file system. Resolves with the container's id.
 */
export function startSteward(docker: DockerCommand, image: string): Promise<string> {
  return docker(
    ...["run", "--detach", "--init", "--label", "patchbay.role=steward"],
    ...["--pid", "host", "--userns", "host", "--cgroupns", "host", "--network", "none"],
    ...["--cap-drop", "ALL", ...CAPABILITIES.flatMap((name) => ["--cap-add", name])],
    ...["seccomp", "apparmor", "systempaths"].flatMap((what) => [
      "--security-opt",
      `${what}=unconfined`,
    ]),
    ...["--volume", "/sys/fs/cgroup:/sys/fs/cgroup"],
    ...["--entrypoint", "sleep", image, "infinity"],
  );
}

interface Answer {
  readonly id: number;
  readonly ok?: unknown;
  readonly error?: { readonly code: SandboxErrorCode; readonly message: string };
}

/** One session with the hand: requests side by side, each bounded in time by the hand itself. */
export class HandSession implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, (answer: Answer | Error) => void>();
  readonly #ended: Promise<void>;
  #lastId = 0;

  constructor(socketPath: string, steward: string) {
    const hand = ["python3", "/usr/lib/patchbay/hand.py"];
    this.#process = spawn("docker", ["exec", "--interactive", steward, ...hand], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, DOCKER_HOST: `unix://${socketPath}` },
    });
    createInterface({ input: this.#process.stdout }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
    });
    this.#ended = new Promise((resolve) => {
      this.#process.on("close", () => {
        const lost = new SandboxError(
          "probe-failed",
          "The connection to the trusted sidecar ended. Run the command again.",
        );
        for (const settle of this.#waiting.values()) settle(lost);
        resolve();
      });
    });
  }

  /** Asks the hand; `init` is the outer pid of the lab host's first process. Rejects with `SandboxError`. */
  async ask(op: string, init: number, request: object = {}, timeoutMs = 5000): Promise<unknown> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answered = new Promise<Answer | Error>((resolve) => this.#waiting.set(id, resolve));
    this.#process.stdin.write(`${JSON.stringify({ ...request, id, op, init, timeoutMs })}\n`);
    const answer = await answered;
    this.#waiting.delete(id);
    if (answer instanceof Error) throw answer;
    if (answer.error) throw new SandboxError(answer.error.code, answer.error.message);
    return answer.ok;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    await this.#ended;
  }
}

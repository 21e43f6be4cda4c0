import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { SandboxError, type SandboxErrorCode } from "../errors.ts";
import type { DockerCommand } from "./command.ts";

const CAPABILITIES = [
  ...["SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT"], // enter namespaces, read what /proc links to
  ...["NET_ADMIN", "NET_RAW"], // read netfilter, send and see echoes
  ...["DAC_READ_SEARCH", "DAC_OVERRIDE", "CHOWN"], // reach the inner engine's socket, give cgroups
  "KILL", // end what a lost client started
  ...["SETUID", "SETGID", "SETPCAP"], // take all rights from the server that answers for names
];

/** There is one on each engine; the name makes two starts at once meet. */
const NAME = "patchbay-steward";

function start(docker: DockerCommand, image: string): Promise<string> {
  return docker(
    ...["run", "--detach", "--init", "--name", NAME, "--label", "patchbay.role=steward"],
    ...["--pid", "host", "--userns", "host", "--cgroupns", "host", "--network", "none"],
    ...["--cap-drop", "ALL", ...CAPABILITIES.flatMap((name) => ["--cap-add", name])],
    ...["seccomp", "apparmor", "systempaths"].flatMap((what) => [
      "--security-opt",
      `${what}=unconfined`,
    ]),
    ...["--volume", "/sys/fs/cgroup:/sys/fs/cgroup"],
    // Disks of labs, and the loop devices that they are mounted from.
    ...["--volume", "patchbay-disks:/disks", "--volume", "/dev:/machine-dev"],
    ...["--device-cgroup-rule", "b 7:* rw", "--device-cgroup-rule", "c 10:237 rw"],
    // The tunnel through which labs with a way out reach the world.
    ...["--device-cgroup-rule", "c 10:200 rw"],
    ...["--entrypoint", "sleep", image, "infinity"],
  );
}

/**
 * The engine's trusted sidecar, in which the hand runs from the lab host's image: in the engine's pid
 * and user namespaces, without network, without a lab's file system. Where none of this image runs,
 * one is started; `started` then says that wires of running labs, which the last one held, are gone.
 */
export async function ensureSteward(
  docker: DockerCommand,
  image: string,
): Promise<{ readonly container: string; readonly started: boolean }> {
  const query = ["ps", "--all", "--no-trunc", "--filter", "label=patchbay.role=steward"];
  const list = await docker(...query, "--format", "{{.ID}} {{.Image}} {{.State}}");
  const stewards = list.split("\n").filter(Boolean);
  const usable = stewards.find((line) => line.endsWith(` ${image} running`));
  if (usable !== undefined) return { container: usable.slice(0, 64), started: false };
  for (const line of stewards) await docker("rm", "--force", "--volumes", line.slice(0, 64));
  try {
    return { container: await start(docker, image), started: true };
  } catch (error) {
    // Another process was quicker.
    if (!String(error).includes("is already in use")) throw error;
    return ensureSteward(docker, image);
  }
}

interface Answer {
  readonly id: number;
  /** Of a stream, which goes on. */
  readonly event?: unknown;
  readonly ok?: unknown;
  readonly error?: { readonly code: SandboxErrorCode; readonly message: string };
}

const connectionLost = () =>
  new SandboxError(
    "probe-failed",
    "The connection to the trusted sidecar ended. Run the command again.",
  );

const ANSWER_GRACE_MS = 3000;

/** One session with the hand: requests side by side, each bounded in time by the hand itself. */
export class HandSession implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting = new Map<number, (answer: Answer | Error) => void>();
  readonly #ended: Promise<void>;
  #lastId = 0;
  #closed = false;

  constructor(address: string, steward: string) {
    const hand = ["python3", "/usr/lib/patchbay/hand"];
    const args = ["--host", address, "exec", "--interactive", steward, ...hand];
    // A process group of its own: Ctrl-C in a terminal must not end it before the cleanup that needs it.
    this.#process = spawn("docker", args, { stdio: ["pipe", "pipe", "inherit"], detached: true });
    // A write to a session that has just ended: `close` tells all who wait.
    this.#process.stdin.on("error", () => undefined);
    createInterface({ input: this.#process.stdout }).on("line", (line) => {
      // Where the sidecar has just stopped, the docker command says so here; `close` tells all who wait.
      if (!line.startsWith("{")) return;
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
    });
    this.#ended = new Promise((resolve) => {
      this.#process.on("close", () => {
        this.#closed = true;
        for (const settle of this.#waiting.values()) settle(connectionLost());
        resolve();
      });
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Ends the session when the sidecar is gone: the docker command would wait on for its own input. */
  abandon(): void {
    this.#process.kill("SIGKILL");
  }

  /** Asks the hand; `init` is the outer pid of the lab host's first process. Rejects with `SandboxError`. */
  async ask(op: string, init: number, request: object = {}, timeoutMs = 5000): Promise<unknown> {
    if (this.#closed) throw connectionLost();
    this.#lastId += 1;
    const id = this.#lastId;
    const answered = new Promise<Answer | Error>((resolve) => this.#waiting.set(id, resolve));
    this.#send({ ...request, id, op, init, timeoutMs });
    // The hand keeps the time limit itself; this one is for a machine too busy, or a link that died.
    const overdue = setTimeout(() => {
      const message = `no answer from the trusted sidecar within ${timeoutMs + ANSWER_GRACE_MS} ms`;
      this.#waiting.get(id)?.(new SandboxError("probe-timeout", message));
    }, timeoutMs + ANSWER_GRACE_MS);
    const answer = await answered;
    clearTimeout(overdue);
    this.#waiting.delete(id);
    if (answer instanceof Error) throw answer;
    if (answer.error) throw new SandboxError(answer.error.code, answer.error.message);
    return answer.ok;
  }

  /** Events of a stream of the hand's, until `signal` aborts. Throws `SandboxError` where the stream ends before. */
  async *stream(
    op: string,
    init: number,
    request: object,
    signal: AbortSignal,
  ): AsyncGenerator<unknown> {
    if (this.#closed) throw connectionLost();
    this.#lastId += 1;
    const id = this.#lastId;
    let told: (Answer | Error)[] = [];
    let wake = () => {};
    this.#waiting.set(id, (answer) => {
      told.push(answer);
      wake();
    });
    const onAbort = () => wake();
    signal.addEventListener("abort", onAbort);
    try {
      this.#send({ ...request, id, op, init, timeoutMs: 0 });
      while (!signal.aborted) {
        const answers = told;
        told = [];
        for (const answer of answers) {
          if (answer instanceof Error) throw answer;
          if (answer.error) throw new SandboxError(answer.error.code, answer.error.message);
          yield answer.event;
        }
        if (told.length > 0 || signal.aborted) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#waiting.delete(id);
      if (!this.#closed) this.#send({ end: id });
    }
  }

  #send(request: object): void {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    const late = setTimeout(() => this.abandon(), ANSWER_GRACE_MS);
    await this.#ended;
    clearTimeout(late);
  }
}

import { randomBytes } from "node:crypto";
import type { LabHost } from "../../../../sandbox/index.ts";
import { ask, EngineRefusal } from "../../../facts/inner-engine.ts";

/** Says whose such a container is, so that one that a killed grader left is found. */
const LABEL = { "patchbay.check": "homework/netbox-rqworker" };

export interface TrustedRun {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** `none`, or `container:<id>` for the network of another one. */
  readonly network: string;
  readonly binds: readonly string[];
}

/** A container of the course's own NetBox image, whatever bears that name in the lab. */
export class TrustedContainer implements AsyncDisposable {
  readonly #host: LabHost;
  readonly #id: string;
  readonly #loadedImage: string | undefined;

  private constructor(host: LabHost, id: string, loadedImage: string | undefined) {
    this.#host = host;
    this.#id = id;
    this.#loadedImage = loadedImage;
  }

  static async start(host: LabHost, run: TrustedRun): Promise<TrustedContainer> {
    await removeLeftBehind(host);
    const { id: Image, loaded } = await host.trustedImage("netbox");
    const body = {
      Image,
      Entrypoint: run.command,
      Cmd: [],
      // A terminal: what it prints comes as it is, without frames.
      Tty: true,
      Env: Object.entries(run.environment)
        .filter(([name]) => !["PATH", "HOME", "HOSTNAME", "TERM"].includes(name))
        .map(([name, value]) => `${name}=${value}`),
      Labels: LABEL,
      HostConfig: { NetworkMode: run.network, Binds: run.binds },
    };
    const path = `/containers/create?name=patchbay-check-${randomBytes(4).toString("hex")}`;
    const { Id } = (await ask(host, { method: "POST", path, body })) as { Id: string };
    const container = new TrustedContainer(host, Id, loaded ? Image : undefined);
    try {
      await ask(host, { method: "POST", path: `/containers/${Id}/start`, timeoutMs: 15_000 });
    } catch (error) {
      await container[Symbol.asyncDispose]();
      throw error;
    }
    return container;
  }

  /** Whether it has ended, and what it has printed so far. */
  async look(): Promise<{ readonly ended: boolean; readonly output: string }> {
    const { State } = (await ask(this.#host, { path: `/containers/${this.#id}/json` })) as {
      State: { Running: boolean };
    };
    const path = `/containers/${this.#id}/logs?stdout=1&stderr=1&tail=200`;
    const output = String((await ask(this.#host, { path })) ?? "");
    return { ended: !State.Running, output: output.replaceAll("\r", "") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await remove(this.#host, `/containers/${this.#id}?force=1&v=1`);
    if (this.#loadedImage !== undefined)
      await remove(this.#host, `/images/${this.#loadedImage}?force=1`);
  }
}

async function remove(host: LabHost, path: string): Promise<void> {
  try {
    await ask(host, { method: "DELETE", path, timeoutMs: 15_000 });
  } catch (error) {
    // Gone already, or going.
    if (!(error instanceof EngineRefusal) || ![404, 409].includes(error.status)) throw error;
  }
}

async function removeLeftBehind(host: LabHost): Promise<void> {
  const filters = encodeURIComponent(
    JSON.stringify({
      label: Object.entries(LABEL).map((pair) => pair.join("=")),
      status: ["exited", "created", "dead"],
    }),
  );
  const found = (await ask(host, { path: `/containers/json?all=1&filters=${filters}` })) as {
    Id: string;
  }[];
  for (const { Id } of found) await remove(host, `/containers/${Id}?force=1&v=1`);
}

/** Runs a command to its end; resolves with what it printed. */
export async function runTrusted(
  host: LabHost,
  {
    timeoutMs,
    signal,
    ...run
  }: TrustedRun & { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<{ readonly output: string }> {
  await using container = await TrustedContainer.start(host, run);
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const { ended, output } = await container.look();
    if (ended || performance.now() > deadlineMs) return { output };
    await new Promise((resolve) => setTimeout(resolve, 200));
    signal.throwIfAborted();
  }
}

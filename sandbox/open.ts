/** The one place that says which kind of engine there is; everything else sees `SandboxEngine`. */
import { chooseEngine } from "./docker/choose.ts";
import { dockerCommand } from "./docker/command.ts";
import { DockerEngine } from "./docker/engine.ts";
import { stopLabs, stopManagedEngine } from "./docker/managed-engine.ts";
import type { Egress, ProgressListener, SandboxEngine } from "./index.ts";
import { type Plugin, withTopologies } from "./plugins.ts";

export interface OpenSandboxOptions {
  /** `managed`, or an address as `DOCKER_HOST` takes it. Without: the best that is there. */
  readonly engine?: string | undefined;
  /** Of labs that are made from now on. Default `none`. */
  readonly egress?: Egress | undefined;
  /** Whose labs there are beside the course's. */
  readonly plugins?: readonly Plugin[];
  readonly onProgress?: ProgressListener;
}

/**
 * Opens the sandbox and starts the managed engine where that is the choice. Labs need the lab host's
 * image, which the first `up` builds; `prepare` on the result builds it now.
 * Throws `SandboxError` `engine-unreachable`, and `PluginError` for labs of plug-ins whose names are taken.
 */
export async function openSandbox(options: OpenSandboxOptions = {}): Promise<SandboxEngine> {
  const { engine, egress, plugins = [], onProgress = () => undefined } = options;
  const topologies = withTopologies(plugins);
  const { address, name } = await chooseEngine(engine, onProgress);
  return new DockerEngine(address, name, { egress, topologies });
}

/**
 * Ends all that runs for labs: the managed engine with the labs on it; on another engine only the labs.
 * Labs keep their files, and the next start brings them back.
 */
export async function stopSandbox(engine: string | undefined): Promise<void> {
  if (engine !== undefined && engine !== "managed") await stopLabs(dockerCommand(engine));
  await stopManagedEngine();
}

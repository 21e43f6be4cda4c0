import type { Lab, LabHost } from "../../sandbox/index.ts";
import { type HostModel, hostModel, type LabModel, labModel } from "./model.ts";

/** Rejects with `SandboxError` where a machine of the lab does not run, or the trusted hand does not answer. */
export async function collectFacts(lab: Lab, signal: AbortSignal): Promise<LabModel> {
  return labModel(await lab.facts({ signal }));
}

/** One host alone, as it is now: for checks that have changed something themselves. */
export async function collectHost(host: LabHost, signal: AbortSignal): Promise<HostModel> {
  return hostModel(await host.facts({ signal }));
}

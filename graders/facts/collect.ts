import type { Lab, LabHost } from "../../sandbox/index.ts";
import { listContainers, listNetworks } from "./inner-engine.ts";
import type { HostFacts, LabFacts } from "./model.ts";

async function collectHost(host: LabHost, signal: AbortSignal): Promise<HostFacts> {
  const [networks, containers] = await Promise.all([
    listNetworks(host, signal),
    listContainers(host, signal),
  ]);
  const pids = containers.filter(({ State }) => State.Running).map(({ State }) => State.Pid);
  const kernel = await host.hand().snapshot(pids, { signal });
  return {
    name: host.name,
    networks,
    namespace: kernel.host,
    named: kernel.byName,
    containers: containers.map(({ Id, Name, Config, State, NetworkSettings }) => ({
      id: Id,
      name: Name.replace(/^\//, ""),
      running: State.Running,
      paused: State.Paused ?? false,
      pid: State.Pid,
      labels: Config.Labels ?? {},
      networks: Object.fromEntries(
        Object.entries(NetworkSettings.Networks ?? {}).map(([name, { IPAddress = "" }]) => [
          name,
          { address: IPAddress },
        ]),
      ),
      published: Object.entries(NetworkSettings.Ports ?? {}).flatMap(([port, bindings]) =>
        (bindings ?? []).map(({ HostIp, HostPort }) => ({
          hostAddress: HostIp,
          hostPort: Number(HostPort),
          port,
        })),
      ),
      namespace: (State.Running && kernel.byPid[State.Pid]) || null,
    })),
  };
}

/** Rejects with `SandboxError` where the lab, its engine or the trusted hand does not answer. */
export async function collectFacts(lab: Lab, signal: AbortSignal): Promise<LabFacts> {
  const hosts = lab.hosts.map(({ name }) => collectHost(lab.host(name), signal));
  return { hosts: await Promise.all(hosts) };
}

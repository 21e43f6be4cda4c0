import type { PingResult } from "../../../../sandbox/index.ts";
import { containerRuns, type RunningContainer } from "../../../checks/containers.ts";
import { removeFresh, startFresh } from "../../../checks/fresh-container.ts";
import { check, type Failed, fail, type Passed, pass } from "../../../core/exercise.ts";
import { collectHost } from "../../../facts/collect.ts";
import {
  addressesOf,
  type BridgeNetwork,
  bridgePorts,
  firstHost,
  type HostModel,
  hasBridge,
  list,
} from "../../../facts/model.ts";

const FIRST = "my-bridge-001";
const SECOND = "my-bridge-002";
const PINGS = 10;
const PING_INTERVAL_MS = 30;

interface Networks {
  readonly first: BridgeNetwork;
  readonly second: BridgeNetwork;
}

export const networksExist = check<Networks>({
  id: "networks-exist",
  title: `Networks ${FIRST} and ${SECOND} exist, both with the bridge driver`,
  async run({ facts }) {
    const { networks } = firstHost(await facts());
    const expected = `bridge networks ${FIRST} and ${SECOND}`;
    const named = (name: string) => networks.find((network) => network.name === name);
    const [first, second] = [named(FIRST), named(SECOND)];
    const missing = [FIRST, SECOND].filter((name) => named(name) === undefined);
    if (first === undefined || second === undefined) {
      const own = networks
        .map(({ name }) => name)
        .filter((name) => !["bridge", "host", "none"].includes(name));
      return fail(
        expected,
        `user-defined networks: ${list(own)}`,
        `Create what is missing: ${missing.map((name) => `docker network create ${name}`).join("; ")}`,
      );
    }
    const { bridge: firstBridge } = first;
    const { bridge: secondBridge } = second;
    if (firstBridge === null || secondBridge === null) {
      return fail(expected, `${FIRST}: ${first.driver}, ${SECOND}: ${second.driver}`);
    }
    return pass({
      first: { ...first, bridge: firstBridge },
      second: { ...second, bridge: secondBridge },
    });
  },
});

export const twoBridges = check({
  id: "two-bridges",
  title: "They are two different bridges on the host",
  needs: { networks: networksExist },
  async run({ facts, networks: { first, second } }) {
    const { namespace } = firstHost(await facts());
    const expected = "two bridge devices, one for each network";
    if (first.id === second.id || first.bridge === second.bridge) {
      return fail(expected, `both are ${first.bridge}`);
    }
    const absent = [first, second].filter(({ bridge }) => !hasBridge(namespace, bridge));
    if (absent.length > 0) {
      const gone = absent.map(({ name, bridge }) => `${bridge} (${name})`);
      return fail(expected, `the kernel has no bridge ${gone.join(", ")}`);
    }
    return pass(undefined, `${first.bridge} and ${second.bridge}`);
  },
});

export const firstRuns = containerRuns(
  "c1",
  `docker run -d --name c1 --network ${FIRST} busybox sleep infinity`,
);

/** Where a container is in other networks than the one named, by the engine's word or the kernel's. */
function strayed(
  container: RunningContainer,
  network: Networks["first"],
  host: HostModel,
): Failed | undefined {
  const expected = `${container.name} in ${network.name} and in no other network`;
  const names = Object.keys(container.networks);
  if (names.length !== 1 || names[0] !== network.name) {
    const others = names.filter((name) => name !== network.name);
    const hint =
      others.length > 0 && names.includes(network.name)
        ? `The two containers are to meet across their networks: docker network disconnect ${others[0]} ${container.name}`
        : undefined;
    return fail(expected, `${container.name} is in: ${list(names)}`, hint);
  }
  if (container.namespace.inode === host.namespace.inode) {
    return fail(expected, `${container.name} shares the host's network namespace`);
  }
  const bridges = bridgePorts(container.namespace, host.namespace).map(({ bridge }) => bridge);
  if (bridges.length !== 1 || bridges[0] !== network.bridge) {
    const plugged = `${container.name}'s interfaces are plugged into: ${list(bridges)}`;
    return fail(`${expected}: one interface in ${network.bridge}`, plugged);
  }
  return undefined;
}

export const firstInOneNetwork = check({
  id: "c1-in-one-network",
  title: `c1 is in ${FIRST} and in no other network`,
  needs: { networks: networksExist, c1: firstRuns },
  async run({ facts, networks, c1 }) {
    const host = firstHost(await facts());
    const failure = strayed(c1, networks.first, host);
    if (failure !== undefined) return failure;
    const address = c1.networks[FIRST]?.address ?? "";
    const inside = bridgePorts(c1.namespace, host.namespace)[0]?.inside ?? "";
    const held = addressesOf(c1.namespace, inside);
    if (!held.includes(address)) {
      const actual = `the engine says ${address || "no address"}; the interface has: ${list(held)}`;
      return fail(`c1 has its address in ${FIRST}`, actual);
    }
    return pass({ address, pid: c1.pid }, `${address} on ${inside}`);
  },
});

export const secondInOneNetwork = check({
  id: "c2-in-one-network",
  title: `c2, where there is one, is in ${SECOND} and in no other network`,
  needs: { networks: networksExist },
  async run({ facts, networks }) {
    const host = firstHost(await facts());
    const c2 = host.containers.find(({ name }) => name === "c2");
    if (c2 === undefined || c2.namespace === null) return pass(undefined, "no c2 runs");
    const failure = strayed({ ...c2, namespace: c2.namespace }, networks.second, host);
    return failure ?? pass(undefined, c2.networks[SECOND]?.address ?? "");
  },
});

function verdict(ping: PingResult, address: string): Passed<undefined> | Failed {
  const { sent, arrived, answeredByTarget, received } = ping;
  const expected = `${PINGS} of ${PINGS} echo requests reach c1 at ${address}, and its replies come back`;
  const counts = `${sent} sent, ${arrived} arrived at c1, ${answeredByTarget} answered by c1, ${received} came back`;
  const whole = [sent, arrived, answeredByTarget, received].every((count) => count === PINGS);
  if (whole) return pass(undefined, counts);
  const said = ping.icmpErrors.length > 0 ? `; answered with: ${ping.icmpErrors.join(", ")}` : "";
  const actual = ping.sendError ? `sending failed with ${ping.sendError}` : `${counts}${said}`;
  if (received > arrived) {
    return fail(
      expected,
      actual,
      "Replies come back that c1 never gave: something answers in its stead.",
    );
  }
  if (arrived === 0) {
    return fail(
      expected,
      actual,
      "The requests do not get from one bridge to the other. See which rule of chain FORWARD counts them: iptables -nvL DOCKER-ISOLATION-STAGE-2",
    );
  }
  if (answeredByTarget === 0) {
    return fail(expected, actual, "The requests arrive, and c1 does not answer. Look into c1.");
  }
  if (received === 0) {
    return fail(
      expected,
      actual,
      "The requests arrive and c1 answers, but the replies are lost: a rule for one direction only?",
    );
  }
  return fail(
    expected,
    actual,
    "Some pass and some do not: look for a rule that counts or limits.",
  );
}

export const freshContainerReachesFirst = check({
  id: "fresh-container-reaches-c1",
  title: `A fresh container in ${SECOND} alone reaches c1 by ping, without loss`,
  startsContainers: true,
  needs: { networks: networksExist, bridges: twoBridges, c1: firstInOneNetwork },
  timeoutMs: 45_000,
  async run({ lab, networks, c1, signal }) {
    const host = lab.host();
    const fresh = await startFresh(host, networks.second.id, "homework/inter-network-ping");
    if ("refused" in fresh) return fail(`a fresh container starts in ${SECOND}`, fresh.refused);
    try {
      const ping = await host.hand().ping(
        {
          from: { kind: "pid", pid: fresh.pid },
          target: { kind: "pid", pid: c1.pid },
          address: c1.address,
          count: PINGS,
          intervalMs: PING_INTERVAL_MS,
          lastReplyWaitMs: 500,
        },
        { signal },
      );
      // Looked at after the ping: nothing may have plugged it in elsewhere meanwhile.
      const now = await collectHost(host, signal);
      const started = now.containers.find(({ id }) => id === fresh.id);
      const alone = `the fresh container in ${SECOND} alone`;
      const namespace = started?.namespace;
      if (!namespace) return fail(alone, "its process has ended");
      const names = Object.keys(started.networks);
      if (names.length !== 1 || names[0] !== SECOND) return fail(alone, `it is in: ${list(names)}`);
      const bridges = bridgePorts(namespace, now.namespace).map(({ bridge }) => bridge);
      if (
        namespace.inode === now.namespace.inode ||
        bridges.length !== 1 ||
        bridges[0] !== networks.second.bridge
      ) {
        return fail(alone, `its interfaces are plugged into: ${list(bridges)}`);
      }
      return verdict(ping, c1.address);
    } finally {
      await removeFresh(host, fresh);
    }
  },
});

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type DockerCommand,
  dockerCommand,
  nestedEngineOptions,
} from "../../sandbox/docker/command.ts";
import { ensureHostImage } from "../../sandbox/docker/host-image.ts";
import { ensureManagedEngine, stopManagedEngine } from "../../sandbox/docker/managed-engine.ts";
import { HandSession, startSteward } from "../../sandbox/docker/steward.ts";

let docker: DockerCommand;
let hand: HandSession;
let host: string;
let init: number;
const made: string[] = [];

/** Runs a shell script as root on the lab host; resolves with what it printed, also where it failed. */
const lab = (script: string) => docker("exec", host, "sh", "-c", `{ ${script}; } 2>&1 || true`);

beforeAll(async () => {
  const socketPath = await ensureManagedEngine();
  docker = dockerCommand(socketPath);
  const image = await ensureHostImage(docker, ({ title }) => console.log(title));
  const steward = await startSteward(docker, image);
  made.push(steward);
  hand = new HandSession(socketPath, steward);
  const limits = ["--memory", "2g", "--cpus", "1.5", "--pids-limit", "2000"];
  host = await docker(
    ...["run", "--detach", "--hostname", "host1", "--network", "none", ...limits],
    ...[...nestedEngineOptions, image],
  );
  made.push(host);
  init = Number(await docker("inspect", "--format", "{{.State.Pid}}", host));
  await hand.ask("prepare", init, { conntrackEntries: 65_536 });
  while (!(await lab("docker version")).includes("Server:")) await sleep(50);
}, 400_000);

afterAll(async () => {
  await hand?.[Symbol.asyncDispose]();
  if (made.length > 0) await docker("rm", "--force", "--volumes", ...made);
  await stopManagedEngine();
}, 60_000);

test("has the course's images at the first prompt", async () => {
  const names = await lab("docker image ls --format '{{.Repository}}'");
  expect(names.split("\n").sort()).toEqual(["busybox", "nginx"]);
  const trusted = (await hand.ask("images", init)) as Record<string, string>;
  expect(await lab("docker image inspect --format '{{.Id}}' busybox")).toBe(trusted["busybox"]);
});

test("has a user namespace: its root is nobody on the machine", async () => {
  const [inside, outside] = (await lab("cat /proc/self/uid_map")).trim().split(/\s+/);
  expect(inside).toBe("0");
  expect(Number(outside)).toBeGreaterThanOrEqual(100_000);
});

test("runs ip netns exec, which mounts a sysfs of its own", async () => {
  expect(await lab("ip netns add x && ip netns exec x ip -br link; ip netns del x")).toMatch(
    /^lo /,
  );
});

test("publishes a port, and answers on it", async () => {
  await lab("docker run -d --name web -p 8080:80 nginx; sleep 0.5");
  expect(await lab("curl -sI localhost:8080")).toContain("200 OK");
  expect(await lab("iptables -t nat -S DOCKER")).toContain("--dport 8080 -j DNAT");
  await lab("docker rm -f web");
});

test("shows by a nonce whether one network reaches the other", async () => {
  await lab(`docker network create my-bridge-001; docker network create my-bridge-002
    docker run -d --name c1 --network my-bridge-001 busybox sleep 600
    docker run -d --name c2 --network my-bridge-002 busybox sleep 600`);
  const pid = async (name: string) =>
    Number(await lab(`docker inspect -f '{{.State.Pid}}' ${name}`));
  const [c1, c2] = [await pid("c1"), await pid("c2")];
  const field = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
  const probe = {
    from: { kind: "pid", pid: c2 },
    target: { kind: "pid", pid: c1 },
    address: await lab(`docker inspect -f '${field}' c1`),
    ...{ count: 8, intervalMs: 50, lastReplyWaitMs: 300 },
  };
  const isolated = { sent: 8, arrived: 0, answeredByTarget: 0, received: 0 };
  expect(await hand.ask("ping", init, probe)).toMatchObject(isolated);

  await lab("iptables -I DOCKER-USER -j ACCEPT");
  const reached = { sent: 8, arrived: 8, answeredByTarget: 8, received: 8 };
  expect(await hand.ask("ping", init, probe)).toMatchObject(reached);

  await lab("iptables -F DOCKER-USER; iptables -A DOCKER-USER -j RETURN");
  // The lab host takes the pings to itself: replies come back, and c1 saw nothing.
  await lab(`iptables -t nat -I PREROUTING -p icmp -j REDIRECT`);
  const inItsStead = { arrived: 0, answeredByTarget: 0, received: 8 };
  expect(await hand.ask("ping", init, probe)).toMatchObject(inItsStead);
});

test("says that a hung inner engine did not answer, within the time given", async () => {
  const version = { method: "GET", path: "/version" };
  expect(await hand.ask("http", init, version)).toMatchObject({ status: 200 });
  await lab("pkill -STOP -x dockerd");
  try {
    await expect(hand.ask("http", init, version, 500)).rejects.toMatchObject({
      code: "inner-engine-timeout",
    });
  } finally {
    await lab("pkill -CONT -x dockerd");
  }
});

test("knows no process of another lab, nor of the machine", async () => {
  const snapshot = (await hand.ask("snapshot", init, { pids: [1, 4_000_000] })) as {
    byPid: Record<string, unknown>;
  };
  expect(snapshot.byPid["1"]).not.toBeNull();
  expect(snapshot.byPid["4000000"]).toBeNull();
});

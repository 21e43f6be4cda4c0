import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { limits } from "../../../src/terminal/protocol.ts";
import { type TestClient, TestServer, until } from "./harness.ts";

const echo = "stty -icanon -echo; echo ready; exec cat";
const flood = "trap : INT; stty -echo; echo ready; read go; yes; echo; echo interrupted; sleep 100";

async function echoTimes(client: TestClient, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index++) {
    const before = client.receivedBytes;
    const startMs = performance.now();
    client.type("x");
    while (client.receivedBytes === before) await new Promise((resolve) => setImmediate(resolve));
    times.push(performance.now() - startMs);
    await sleep(5);
  }
  return times.sort((a, b) => a - b);
}

async function keeperKilobytes(server: TestServer): Promise<number> {
  for (const name of await readdir("/proc")) {
    const command = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    if (!command.includes(`${server.stateDir}/terminals/lab.sock`)) continue;
    const status = await readFile(`/proc/${name}/status`, "utf8");
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
  }
  throw new Error("no keeper runs");
}

describe("while yes floods one terminal", () => {
  test("another one stays responsive, and Ctrl-C stops it at once", {
    timeout: 30_000,
  }, async () => {
    await using server = await TestServer.start();
    using flooded = await server.connect(await server.open(flood));
    using other = await server.connect(await server.open(echo));
    flooded.keepBytes = 100_000;
    await flooded.sees("ready");
    await other.sees("ready");
    flooded.type("\r");
    await until("the flood runs", () => flooded.receivedBytes > 5_000_000);
    const times = await echoTimes(other, 50);
    expect(times[25]).toBeLessThan(50);
    const before = flooded.receivedBytes;
    const startMs = performance.now();
    flooded.type("\u0003");
    await flooded.sees("interrupted");
    expect(performance.now() - startMs).toBeLessThan(1_000);
    // What was on its way when the key was pressed, and no more.
    expect(flooded.receivedBytes - before).toBeLessThan(8 * limits.highWaterBytes);
  });

  test("a client that stops reading stops it, at bounded memory", { timeout: 30_000 }, async () => {
    await using server = await TestServer.start();
    using client = await server.connect(await server.open(flood));
    await client.sees("ready");
    const memoryBefore = await keeperKilobytes(server);
    client.acknowledging = false;
    client.type("\r");
    await until("the window is full", () => client.receivedBytes >= limits.highWaterBytes);
    await sleep(300);
    const stalled = client.receivedBytes;
    expect(stalled).toBeLessThan(limits.highWaterBytes + 128 * 1024);
    await sleep(1_000);
    expect(client.receivedBytes).toBe(stalled);
    expect((await keeperKilobytes(server)) - memoryBefore).toBeLessThan(40_000);
    client.acknowledge();
    await until("it goes on", () => client.receivedBytes > stalled + 64 * 1024);
    client.type("\u0003");
    client.acknowledging = true;
    client.acknowledge();
    await client.sees("interrupted");
  });

  test("a client that acknowledges without reading costs bounded memory too", {
    timeout: 30_000,
  }, async () => {
    await using server = await TestServer.start();
    using client = await server.connect(await server.open(flood));
    await client.sees("ready");
    client.type("\r");
    client.webSocket.pause();
    const memoryBefore = process.memoryUsage().rss;
    for (let round = 0; round < 1_000 && client.closed === undefined; round++) {
      client.send({ type: "ack", bytes: 16 * 1024 });
      await sleep(1);
    }
    expect(process.memoryUsage().rss - memoryBefore).toBeLessThan(60_000_000);
  });

  test("a viewer that stops reading does not hold it for others, and sees the end", {
    timeout: 30_000,
  }, async () => {
    await using server = await TestServer.start();
    const id = await server.open(flood);
    using fast = await server.connect(id);
    using slow = await server.connect(id);
    fast.keepBytes = 100_000;
    await fast.sees("ready");
    await slow.sees("ready");
    slow.acknowledging = false;
    fast.type("\r");
    await until("the fast one is far ahead", () => fast.receivedBytes > 10_000_000, 20_000);
    expect(slow.receivedBytes).toBeLessThan(limits.highWaterBytes + 128 * 1024);
    fast.type("\u0003");
    await fast.sees("interrupted");
    slow.forget();
    slow.acknowledging = true;
    slow.acknowledge();
    await slow.sees("interrupted");
    expect(slow.of("snapshot").map(({ reason }) => reason)).toEqual(["attach", "resync"]);
  });
});

test("a flood that nobody watches takes no whole core", { timeout: 30_000 }, async () => {
  await using server = await TestServer.start();
  const id = await server.open("stty -echo; echo ready; read go; exec yes");
  {
    using client = await server.connect(id);
    await client.sees("ready");
    client.type("\r");
    await until("the flood runs", () => client.receivedBytes > 1_000_000);
  }
  await sleep(1_000);
  const ticks = async (): Promise<number> => {
    for (const name of await readdir("/proc")) {
      const command = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
      if (!command.includes(`${server.stateDir}/terminals/lab.sock`)) continue;
      const fields = (await readFile(`/proc/${name}/stat`, "utf8")).split(" ");
      return Number(fields[13]) + Number(fields[14]);
    }
    throw new Error("no keeper runs");
  };
  const before = await ticks();
  await sleep(1_000);
  expect((await ticks()) - before).toBeLessThan(60);
  using again = await server.connect(id);
  await until("it goes on for who comes back", () => again.receivedBytes > 2_000_000);
});

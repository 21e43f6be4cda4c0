import { setTimeout as sleep } from "node:timers/promises";
import { spawn as spawnNodePty } from "node-pty";
import { describe, expect, test } from "vitest";
import { maxPendingInputBytes, Pty } from "../../../src/terminal/server/keeper/pty.ts";
import { shell, size, until } from "./harness.ts";

class Running implements Disposable {
  output = "";
  exit: { readonly code: number; readonly signal: number } | undefined;
  readonly pty: Pty;

  constructor(script: string, onExit: () => void = () => undefined) {
    this.pty = new Pty(shell(script)(), size, {
      onOutput: (chunk) => {
        this.output += chunk.toString("latin1");
      },
      onExit: (exit) => {
        this.exit = exit;
        onExit();
      },
    });
  }

  async shows(text: string): Promise<void> {
    await until(`the output has ${text}`, () => this.output.includes(text));
  }

  async ends(): Promise<void> {
    await until("the process ended", () => this.exit !== undefined);
  }

  [Symbol.dispose](): void {
    this.pty.kill();
  }
}

const deaf = "stty raw -echo; echo ready; exec sleep 100";
const secret = "A".repeat(300_000);

/** A PTY dies with input queued and another opens in its place: whether the input went there. */
async function crossesWithNodePty(): Promise<boolean> {
  const options = { cols: 80, rows: 24, env: { PATH: process.env["PATH"] ?? "" } };
  const first = spawnNodePty("/bin/sh", ["-c", deaf], options);
  await new Promise<void>((resolve) => first.onData((data) => data.includes("ready") && resolve()));
  first.write(secret);
  await sleep(20);
  const exited = new Promise<void>((resolve) => first.onExit(() => resolve()));
  first.kill("SIGKILL");
  await exited;
  const second = spawnNodePty("/bin/cat", [], options);
  let output = "";
  const ended = new Promise<void>((resolve) => second.onExit(() => resolve()));
  second.onData((data) => {
    output += data;
  });
  await sleep(100);
  second.kill("SIGKILL");
  await ended;
  return output.includes("A");
}

async function crossesWithOurs(): Promise<boolean> {
  let second: Running | undefined;
  using first = new Running(deaf, () => {
    second = new Running("exec cat");
    first.pty.resize({ columns: 33, rows: 11 });
  });
  await first.shows("ready");
  first.pty.write(Buffer.from(secret));
  await sleep(20);
  process.kill(first.pty.pid, "SIGKILL");
  await first.ends();
  await sleep(100);
  const crossed = second?.output.includes("A") ?? true;
  second?.pty.kill();
  await second?.ends();
  return crossed;
}

async function count(tries: number, attempt: () => Promise<boolean>): Promise<number> {
  let hits = 0;
  for (let index = 0; index < tries; index++) if (await attempt()) hits += 1;
  return hits;
}

describe("input that waits for a dead program", () => {
  test("reaches no other one, where node-pty alone lets it", { timeout: 60_000 }, async () => {
    // The control: if node-pty stops crossing, this says so, and the rest proves nothing any more.
    expect(await count(20, crossesWithNodePty)).toBeGreaterThan(0);
    expect(await count(40, crossesWithOurs)).toBe(0);
  });

  test("is refused over the limit, and the program lives on", async () => {
    using running = new Running(deaf);
    await running.shows("ready");
    const half = Buffer.alloc(maxPendingInputBytes / 2, 65);
    expect([running.pty.write(half), running.pty.write(half), running.pty.write(half)]).toEqual([
      true,
      true,
      false,
    ]);
    expect(running.pty.dropPendingInput()).toBeGreaterThan(maxPendingInputBytes / 2);
    expect(running.exit).toBeUndefined();
  });
});

test("a paste to a program that doesn't read costs no core", { timeout: 20_000 }, async () => {
  const cpuOf = async (write: (text: Buffer) => void): Promise<number> => {
    const before = process.cpuUsage();
    write(Buffer.alloc(1_000_000, 65));
    await sleep(1_500);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  };
  const plain = spawnNodePty("/bin/sh", ["-c", deaf], { env: { PATH: process.env["PATH"] ?? "" } });
  await new Promise<void>((resolve) => plain.onData((data) => data.includes("ready") && resolve()));
  const theirs = await cpuOf((text) => plain.write(text.toString()));
  const exited = new Promise<void>((resolve) => plain.onExit(() => resolve()));
  plain.kill("SIGKILL");
  await exited;
  using running = new Running(deaf);
  await running.shows("ready");
  const ours = await cpuOf((text) => running.pty.write(text));
  expect(ours).toBeLessThan(theirs / 4);
});

test("a big paste arrives whole and in order", async () => {
  using running = new Running("stty raw -echo; echo ready; head -c 5000000 | md5sum; sleep 100");
  await running.shows("ready");
  const paste = Buffer.from(Array.from({ length: 5_000_000 }, (_, n) => 33 + (n % 89)));
  for (let offset = 0; offset < paste.byteLength; offset += 16_384) {
    expect(running.pty.write(paste.subarray(offset, offset + 16_384))).toBe(true);
  }
  const { createHash } = await import("node:crypto");
  await running.shows(createHash("md5").update(paste).digest("hex"));
});

test.each([3_000, 60_000])("the last %d bytes of a paused program are not lost", async (length) => {
  using running = new Running(`head -c ${length} /dev/zero | tr '\\0' x`);
  running.pty.setPaused(true);
  await running.ends();
  expect(running.output.replace(/[^x]/g, "")).toHaveLength(length);
  expect(running.exit).toEqual({ code: 0, signal: 0 });
});

test("exit code and signal are told apart", async () => {
  using first = new Running("exit 42");
  await first.ends();
  expect(first.exit).toEqual({ code: 42, signal: 0 });
  using second = new Running("exec kill -9 $$");
  await second.ends();
  expect(second.exit).toEqual({ code: -1, signal: 9 });
});

test("a program that ignores the hang-up ends all the same", async () => {
  using running = new Running("trap '' HUP TERM; echo ready; while :; do sleep 1; done");
  await running.shows("ready");
  running.pty.kill();
  await running.ends();
  expect(running.exit?.signal).toBe(9);
});

test("a program gets no descriptor of another terminal and a clean environment", async () => {
  process.env["PATCHBAY_TEST_SECRET"] = "leaked";
  using first = new Running("exec sleep 100");
  using second = new Running(
    "ls /proc/self/fd | tr '\\n' ' '; echo; env; echo done; exec sleep 100",
  );
  await second.shows("done");
  delete process.env["PATCHBAY_TEST_SECRET"];
  const [descriptors, ...env] = second.output.split("\r\n");
  // The fourth is the one that ls reads the folder with.
  expect(descriptors?.match(/^0 1 2 3 /)?.[0] ?? descriptors).toBe("0 1 2 3 ");
  const names = env.flatMap((line) => /^(\w+)=/.exec(line)?.[1] ?? []);
  expect(names.filter((name) => name !== "PWD").sort()).toEqual([
    "HOME",
    "LANG",
    "PATH",
    "PS1",
    "TERM",
  ]);
  expect(first.exit).toBeUndefined();
});

test("size changes reach the program, and after its end nothing happens", async () => {
  using running = new Running("echo ready; read line; stty size; exit 0");
  await running.shows("ready");
  running.pty.resize({ columns: 101, rows: 31 });
  running.pty.write(Buffer.from("\r"));
  await running.ends();
  expect(running.output).toContain("31 101");
  running.pty.resize({ columns: 80, rows: 24 });
  expect(running.pty.write(Buffer.from("x"))).toBe(true);
});

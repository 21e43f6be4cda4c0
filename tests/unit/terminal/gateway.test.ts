import { fork } from "node:child_process";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { TerminalGateway } from "../../../src/terminal/server/index.ts";
import { maxPendingInputBytes } from "../../../src/terminal/server/keeper/pty.ts";
import { place, shell, size, TestServer, until } from "./harness.ts";

const quiet = "stty -echo; echo ready; exec cat >/dev/null";

async function keeperPids(server: TestServer): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const command = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    if (command.includes(join(server.stateDir, "terminals"))) found.push(Number(name));
  }
  return found;
}

describe("a terminal", () => {
  test("shows what its program writes and takes what is typed", async () => {
    await using server = await TestServer.start();
    const id = await server.open("read line; echo got:$line; sleep 100");
    using client = await server.connect(id);
    client.type("hello\r");
    await client.sees("got:hello");
    expect(await server.gateway.list("lab")).toEqual([{ id, number: 1, host: "host1", ...size }]);
  });

  test("has a socket for its owner alone", async () => {
    await using server = await TestServer.start();
    await server.open("sleep 100");
    const folder = join(server.stateDir, "terminals");
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, "lab.sock"))).mode & 0o777).toBe(0o600);
  });

  test("keeps characters whole however its output is cut", async () => {
    await using server = await TestServer.start();
    const text = "сеть→网络🐳é".repeat(20_000);
    const id = await server.open("stty -echo; echo no echo; cat; sleep 100");
    using client = await server.connect(id);
    await client.sees("no echo");
    const lines = (text.match(/.{1,100}/gu) ?? []).map((part) => `${part}\r`);
    client.type(`${lines.join("")}end\r`);
    await client.sees("end");
    const wanted = lines.map((part) => part.replace("\r", "\r\n")).join("");
    expect(client.text.slice(client.text.indexOf("сеть"))).toBe(`${wanted}end\r\n`);
  });

  test("shows its exit code after its last output, also to who comes later", async () => {
    await using server = await TestServer.start();
    const id = await server.open("read go; echo last words; exit 7");
    using client = await server.connect(id);
    client.type("\r");
    await until("exit is told", () => client.of("exited").length > 0);
    expect(client.text).toContain("last words");
    expect(client.of("exited")).toEqual([{ type: "exited", code: 7, signal: 0 }]);
    using later = await server.connect(id);
    await until("exit is told again", () => later.of("exited").length > 0);
    expect(later.text).toContain("last words");
    expect((await server.gateway.list("lab"))[0]?.exited).toEqual({ code: 7 });
    client.type("nobody reads this");
    client.send({ type: "resize", columns: 50, rows: 20 });
    client.run("r", "ls");
    await until("run is answered", () => client.of("run-acknowledged").length > 0);
    expect(client.of("run-acknowledged")[0]?.outcome).toBe("ended");
  });

  test("that nobody has is told apart from a broken one", async () => {
    await using server = await TestServer.start();
    await server.open("sleep 100");
    using unknown = await server.connect("t-unknown");
    expect(await unknown.isClosed()).toMatchInlineSnapshot(`
      {
        "code": 4004,
        "reason": "there is no terminal t-unknown in this lab",
      }
    `);
    using elsewhere = await server.connect("t-unknown", "other-lab");
    expect(await elsewhere.isClosed()).toMatchInlineSnapshot(`
      {
        "code": 4004,
        "reason": "lab other-lab has no terminal t-unknown",
      }
    `);
    await expect(server.gateway.list("../../etc")).rejects.toThrowErrorMatchingInlineSnapshot(
      `[TerminalError: a lab id is 1 to 63 characters of a-z, 0-9 and -, and does not start with -]`,
    );
    await expect(
      server.gateway.close("lab", "t-unknown"),
    ).rejects.toThrowErrorMatchingInlineSnapshot(
      `[TerminalError: there is no terminal t-unknown in this lab]`,
    );
  });

  test("ends with a close, and the keeper ends with the last one", async () => {
    await using server = await TestServer.start();
    const first = await server.open("exec sleep 100");
    const second = await server.open("exec sleep 100");
    expect(await keeperPids(server)).toHaveLength(1);
    using client = await server.connect(first);
    await server.gateway.close("lab", first);
    expect(await client.isClosed()).toEqual({ code: 4001, reason: "this terminal was closed" });
    expect((await server.gateway.list("lab")).map(({ id }) => id)).toEqual([second]);
    await server.gateway.close("lab", second);
    await until("no keeper runs", async () => (await keeperPids(server)).length === 0);
    expect(await server.gateway.list("lab")).toEqual([]);
    const third = await server.open("echo again; sleep 100");
    using again = await server.connect(third);
    await again.sees("again");
  });

  test("opened many times at once gets one keeper, also over a stale socket", async () => {
    await using server = await TestServer.start();
    await server.open("sleep 100");
    const [pid] = await keeperPids(server);
    process.kill(pid as number, "SIGKILL");
    await until("the keeper is gone", async () => (await keeperPids(server)).length === 0);
    expect(await readdir(join(server.stateDir, "terminals"))).toContain("lab.sock");
    await using other = new TerminalGateway({ stateDir: server.stateDir });
    await Promise.all(
      [server.gateway, server.gateway, other, other].map((gateway) =>
        gateway.open("lab", shell("sleep 100"), size, place),
      ),
    );
    await until("one keeper is left", async () => (await keeperPids(server)).length === 1);
    expect(await server.gateway.list("lab")).toHaveLength(4);
  });

  test("says why its keeper does not start", async () => {
    await using server = await TestServer.start();
    await expect(
      new TerminalGateway({ stateDir: `/${"long/".repeat(30)}` }).list("lab"),
    ).rejects.toThrow("set PATCHBAY_STATE_DIR to a folder with a shorter path");
    await mkdir(join(server.stateDir, "terminals", "lab.lock"), { recursive: true });
    const problem = await server.open("sleep 1").catch((error: Error) => error.message);
    expect(String(problem).replaceAll(server.stateDir, "STATE")).toMatchInlineSnapshot(
      `"the process that keeps this lab's shells did not start: Error: unable to open database file. Its log is STATE/terminals/lab.log"`,
    );
  });

  test("whose program cannot be found says so on its screen", async () => {
    await using server = await TestServer.start();
    const command = () => ({ file: "/nowhere/bash", args: [], env: {} });
    const { id } = await server.gateway.open("lab", command, size, place);
    using client = await server.connect(id);
    await client.sees("/nowhere/bash");
    await until("it ended", () => client.of("exited").length > 0);
    expect(client.of("exited")[0]?.code).toBe(127);
  });
});

describe("a lost connection", () => {
  test("resumes the same shell with its screen", async () => {
    await using server = await TestServer.start();
    const id = await server.open("i=0; while read line; do i=$((i+1)); echo $i:$line; done");
    {
      using client = await server.connect(id);
      client.type("one\r");
      await client.sees("1:one");
    }
    using again = await server.connect(id);
    await again.sees("1:one");
    expect(again.of("snapshot")).toHaveLength(1);
    again.type("two\r");
    await again.sees("2:two");
  });

  test("and a dead web server leave shells running for the next server", async () => {
    await using server = await TestServer.start();
    const script = `
      import { TerminalGateway } from ${JSON.stringify(new URL("../../../src/terminal/server/index.ts", import.meta.url).href)};
      const gateway = new TerminalGateway({ stateDir: ${JSON.stringify(server.stateDir)} });
      const command = () => ({ file: "/bin/sh", args: ["-c", "while read line; do echo got:$line; done"], env: {} });
      const { id } = await gateway.open("lab", command, { columns: 80, rows: 24 }, { host: "host1" });
      process.send(id);
      setInterval(() => {}, 1000);
    `;
    const file = join(server.stateDir, "web-server.ts");
    await writeFile(file, script);
    const webServer = fork(file, { execPath: process.execPath, execArgv: [] });
    const id = await new Promise<string>((resolve) => webServer.once("message", resolve));
    const ended = new Promise((resolve) => webServer.once("exit", resolve));
    webServer.kill("SIGKILL");
    await ended;
    expect((await server.gateway.list("lab")).map((info) => info.id)).toEqual([id]);
    using client = await server.connect(id);
    client.type("still here\r");
    await client.sees("got:still here");
  });

  test("never types a command twice", async () => {
    await using server = await TestServer.start();
    const id = await server.open(
      "stty -echo; echo ready; while printf '$ ' && read line; do echo ran:$line; done",
    );
    const outcomes: string[] = [];
    for (let round = 0; round < 3; round++) {
      using client = await server.connect(id);
      await client.sees("ready");
      client.run("lesson:1", "docker ps");
      client.run("lesson:1", "docker ps");
      await until("both are answered", () => client.of("run-acknowledged").length === 2);
      outcomes.push(...client.of("run-acknowledged").map(({ outcome }) => outcome));
    }
    expect(outcomes).toEqual(["typed", ...Array(5).fill("duplicate")]);
    using client = await server.connect(id);
    await client.sees("ran:docker ps");
    client.run("lesson:2", "second\u001b[31m\u0003");
    await client.sees("ran:second[31m");
    expect(client.text.match(/ran:docker ps/g)).toHaveLength(1);
  });
});

/** As a student has it on a lab host. */
const bash = "PS1='root@host1:~# ' exec bash --norc --noprofile -i";

describe("a command of a lesson", () => {
  test("waits for the first prompt of a fresh shell", async () => {
    await using server = await TestServer.start();
    const id = await server.open(`sleep 0.5; ${bash}`);
    using client = await server.connect(id);
    client.run("a", "echo first-$((6*7))");
    expect(await client.outcome("a")).toBe("typed");
    await client.sees("first-42");
  });

  test("is not typed into a full-screen program, not even with Ctrl-C first", async () => {
    await using server = await TestServer.start();
    const id = await server.open("printf '\\033[?1049hfull'; exec cat >/dev/null");
    using client = await server.connect(id);
    await client.sees("full");
    client.run("a", "ls");
    client.run("b", "ls", { interrupt: true });
    expect([await client.outcome("a"), await client.outcome("b")]).toEqual([
      "full-screen",
      "full-screen",
    ]);
  });

  test("is not typed while another runs, unless that ends on Ctrl-C or the user says so", async () => {
    await using server = await TestServer.start();
    const id = await server.open(bash);
    using client = await server.connect(id);
    await client.sees("host1:~# ");
    client.run("cat", "cat");
    expect(await client.outcome("cat")).toBe("typed");
    client.run("at-once", "echo too-soon");
    expect(await client.outcome("at-once")).toBe("no-prompt");
    client.run("later", "echo too-soon");
    expect(await client.outcome("later")).toBe("no-prompt");
    client.run("anyway", "for-cat", { anyway: true });
    expect(await client.outcome("anyway")).toBe("typed");
    await until("cat has it", () => client.text.split("for-cat").length === 3);
    client.run("interrupt", "echo after-$((6*7))", { interrupt: true });
    expect(await client.outcome("interrupt")).toBe("typed");
    await client.sees("after-42");
    expect(client.text).not.toContain("too-soon");
  });

  test("does not wait for a first prompt where somebody has typed at one", async () => {
    await using server = await TestServer.start();
    const id = await server.open(bash);
    using client = await server.connect(id);
    await client.sees("host1:~# ");
    client.type("echo ready-$((6*7)); sleep 60\r");
    await client.sees("ready-42");
    client.run("a", "echo never");
    await until("it is refused", () => client.of("run-acknowledged").length > 0, 5_000);
    expect(await client.outcome("a")).toBe("no-prompt");
  });

  test("is not typed where a program takes no Ctrl-C", async () => {
    await using server = await TestServer.start();
    const id = await server.open(bash);
    using client = await server.connect(id);
    await client.sees("host1:~# ");
    client.type("trap '' INT; sleep 60\r");
    await client.sees("sleep 60");
    client.run("a", "echo never", { interrupt: true });
    expect(await client.outcome("a")).toBe("no-prompt");
    expect(client.text).not.toContain("never");
  });

  test("takes the place of what stands half typed, and is not added to a command that is not complete", async () => {
    await using server = await TestServer.start();
    const id = await server.open(bash);
    using client = await server.connect(id);
    await client.sees("host1:~# ");
    client.type("rm -rf half-typed");
    await client.sees("half-typed");
    client.run("a", "echo whole-$((6*7))");
    expect(await client.outcome("a")).toBe("typed");
    await client.sees("whole-42");
    client.type("echo 'open\r");
    await client.sees("h> ");
    client.run("b", "echo b");
    expect(await client.outcome("b")).toBe("no-prompt");
    client.run("c", "echo closed-$((6*7))", { interrupt: true });
    expect(await client.outcome("c")).toBe("typed");
    await client.sees("closed-42");
  });

  test("is typed at the prompt of a shell in a shell, also of a plain one", async () => {
    await using server = await TestServer.start();
    const id = await server.open(bash);
    using client = await server.connect(id);
    await client.sees("host1:~# ");
    client.run("a", "PS1='/ # ' sh");
    expect(await client.outcome("a")).toBe("typed");
    await client.sees("\r/ # ");
    client.run("b", "echo inner-$((6*7))");
    expect(await client.outcome("b")).toBe("typed");
    await client.sees("inner-42");
    client.run("c", "sleep 60");
    await client.outcome("c");
    client.run("d", "echo never");
    expect(await client.outcome("d")).toBe("no-prompt");
  });

  test("that waits for a prompt is dropped with the page that asked", async () => {
    await using server = await TestServer.start();
    const id = await server.open(`sleep 1; ${bash}`);
    {
      using client = await server.connect(id);
      client.run("a", "echo never");
      await sleep(200);
    }
    using client = await server.connect(id);
    await client.sees("host1:~# ");
    client.run("b", "echo shown-$((6*7))");
    await client.sees("shown-42");
    expect(client.text).not.toContain("never");
  });
});

describe("terminals of several hosts", () => {
  test("are found again by their names, and carry their titles", async () => {
    await using server = await TestServer.start();
    const open = (host: string, name?: string, script = "sleep 100") =>
      server.gateway.open("lab", shell(script), size, { host, ...(name && { name }) });
    const main = await open("host1", "main");
    expect((await open("host1", "main")).id).toBe(main.id);
    const other = await open("host2", "main");
    expect(other).toMatchObject({ host: "host2", name: "main", number: 2 });
    await open("host1");
    await server.gateway.rename("lab", other.id, "захват 🦈");
    const list = await server.gateway.list("lab");
    expect(list.map(({ host, name, title, number }) => [host, name, title, number])).toEqual([
      ["host1", "main", undefined, 1],
      ["host2", "main", "захват 🦈", 2],
      ["host1", undefined, undefined, 3],
    ]);
    expect((await open("host2", "main")).id).toBe(other.id);
    await server.gateway.rename("lab", other.id, "");
    expect((await server.gateway.list("lab"))[1]?.title).toBeUndefined();
  });

  test("give their name on once their shell has ended", async () => {
    await using server = await TestServer.start();
    const open = (script: string) =>
      server.gateway.open("lab", shell(script), size, { host: "host1", name: "capture" });
    const first = await open("exit 3");
    await until("it ended", async () => (await server.gateway.list("lab"))[0]?.exited?.code === 3);
    const second = await open("sleep 100");
    expect(second.id).not.toBe(first.id);
    expect((await server.gateway.list("lab")).map(({ id }) => id)).toEqual([second.id]);
  });

  test.each([
    [{ host: "" }],
    [{ host: "host1", name: "../main" }],
    [{ host: "host1", title: "a\nb" }],
    [{ host: "host1", title: "\u202eevil" }],
    [{ host: "host1", title: "x".repeat(41) }],
  ])("refuse the place %j", async (bad) => {
    await using server = await TestServer.start();
    await server.open("sleep 100");
    await expect(server.gateway.open("lab", shell("sleep 1"), size, bad)).rejects.toMatchObject({
      code: "terminal-name-invalid",
    });
    expect(await server.gateway.list("lab")).toHaveLength(1);
  });
});

describe("a client that misbehaves", () => {
  const cases: readonly (readonly [string, (webSocket: WebSocket) => void])[] = [
    ["unknown type", (socket) => socket.send(Buffer.from([0x55, 1, 2]))],
    ["empty message", (socket) => socket.send(Buffer.alloc(0))],
    ["text message", (socket) => socket.send("hello")],
    ["resize to 0×0", (socket) => socket.send(Buffer.from([3, 0, 0, 0, 0]))],
    ["resize cut short", (socket) => socket.send(Buffer.from([3, 0]))],
    ["ack of what was never sent", (socket) => socket.send(Buffer.from([4, 255, 0, 0, 0]))],
    ["command of broken UTF-8", (socket) => socket.send(Buffer.from([2, 0, 1, 65, 0xff]))],
    ["too big a message", (socket) => socket.send(Buffer.alloc(100_000, 1))],
    [
      "10,000 messages at once",
      (socket) => {
        for (let n = 0; n < 10_000; n++) socket.send(Buffer.from([5, 0, 0, 0, 0]));
      },
    ],
  ];

  test("is closed with a code and a reason, and nobody else notices", async () => {
    await using server = await TestServer.start();
    const id = await server.open(
      "stty -echo; echo ready; while read line; do echo got:$line; done",
    );
    using neighbour = await server.connect(id);
    await neighbour.sees("ready");
    const closes: string[] = [];
    for (const [name, misbehave] of cases) {
      using client = await server.connect(id);
      await client.sees("ready");
      misbehave(client.webSocket);
      const { code, reason } = await client.isClosed();
      closes.push(`${name}: ${code} ${reason}`);
      neighbour.type(`${name}\r`);
      await neighbour.sees(`got:${name}`);
    }
    expect(closes).toMatchInlineSnapshot(`
      [
        "unknown type: 1002 unknown message type 0x55",
        "empty message: 1002 an empty message",
        "text message: 1003 text message: this socket takes binary ones",
        "resize to 0×0: 1008 a terminal of 0×0 is outside 2×1 to 500×300",
        "resize cut short: 1002 resize message of 2 bytes",
        "ack of what was never sent: 1008 4278190080 bytes acknowledged, 0 in flight",
        "command of broken UTF-8: 1007 text that is not UTF-8",
        "too big a message: 1009 ",
        "10,000 messages at once: 1008 too many messages in a second",
      ]
    `);
    expect(neighbour.closed).toBeUndefined();
  });

  test("and answers no ping is dropped", async () => {
    await using server = await TestServer.start({ heartbeatMs: 100 });
    const id = await server.open(quiet);
    using dead = await server.connect(id);
    using alive = await server.connect(id);
    await alive.sees("ready");
    // A half-open connection: the kernel still takes bytes, and nobody answers.
    dead.webSocket.pong = () => undefined;
    (dead.webSocket as unknown as { _autoPong: boolean })._autoPong = false;
    expect((await dead.isClosed()).code).toBe(1006);
    await sleep(300);
    expect(alive.closed).toBeUndefined();
  });

  test("and pastes more than a deaf program can ever take is told so", {
    timeout: 30_000,
  }, async () => {
    await using server = await TestServer.start();
    const id = await server.open("stty raw -echo; echo ready; exec sleep 100");
    using client = await server.connect(id);
    await client.sees("ready");
    client.type("A".repeat(maxPendingInputBytes + 500_000));
    await until("the refusal is told", () => client.of("notice").length > 0);
    expect(client.of("notice")[0]).toMatchInlineSnapshot(`
      {
        "code": "input-refused",
        "text": "The program does not read its input, and too much of it waits already: the rest was not sent. Ctrl-C drops what waits.",
        "type": "notice",
      }
    `);
    client.type("\u0003");
    await until("the drop is told", () =>
      client.of("notice").some(({ code }) => code === "input-dropped"),
    );
  });
});

test("viewers share the size of the smallest", async () => {
  await using server = await TestServer.start();
  const id = await server.open("while read line; do stty size; done");
  using wide = await server.connect(id);
  wide.send({ type: "resize", columns: 200, rows: 20 });
  using tall = await server.connect(id);
  tall.send({ type: "resize", columns: 90, rows: 60 });
  await until("both know", () => tall.of("size").length > 0 && wide.of("size").length > 1);
  expect(wide.of("size").at(-1)).toEqual({ type: "size", columns: 90, rows: 20 });
  wide.type("\r");
  await wide.sees("20 90");
  tall[Symbol.dispose]();
  await until("it grows again", () => wide.of("size").at(-1)?.columns === 200);
});

test("a ping is answered by the process that keeps the PTY", async () => {
  await using server = await TestServer.start();
  using client = await server.connect(await server.open(quiet));
  client.send({ type: "ping", token: 4_000_000_000 });
  await until("pong", () => client.of("pong").length > 0);
  expect(client.of("pong")).toEqual([{ type: "pong", token: 4_000_000_000 }]);
});

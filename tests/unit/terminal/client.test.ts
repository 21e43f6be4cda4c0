import { describe, expect, test } from "vitest";
import {
  type ConnectionState,
  TerminalConnection,
} from "../../../src/terminal/client/connection.ts";
import {
  controlKey,
  EscapeCounter,
  keyAction,
  platformOf,
} from "../../../src/terminal/client/keyboard.ts";
import { targetOf } from "../../../src/terminal/client/links.ts";
import { RunLedger } from "../../../src/terminal/client/run-ledger.ts";
import { safePaste, safeTitle } from "../../../src/terminal/client/safe-text.ts";
import { limits, type ServerMessage, terminalSubprotocol } from "../../../src/terminal/protocol.ts";
import { TestServer, until } from "./harness.ts";

class Viewer implements Disposable {
  readonly states: ConnectionState["name"][] = [];
  readonly messages: ServerMessage[] = [];
  readonly connection: TerminalConnection;
  exists: boolean | undefined = true;
  url: string;
  text = "";

  constructor(url: string) {
    this.url = url;
    this.connection = new TerminalConnection({
      open: () => new WebSocket(this.url, terminalSubprotocol),
      exists: async () => this.exists,
      firstRetryMs: 20,
      pingMs: 200,
      onState: (state) => this.states.push(state.name),
      onMessage: (message) => {
        this.messages.push(message);
        if (message.type !== "output" && message.type !== "snapshot") return;
        if (message.type === "snapshot") this.text = "";
        this.text += Buffer.from(message.bytes).toString("latin1");
        const { current } = this.connection;
        setTimeout(() => this.connection.drawn(message.bytes.byteLength, current), 0);
      },
    });
  }

  async shows(text: string): Promise<void> {
    await until(`the viewer shows ${text}`, () => this.text.includes(text));
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }
}

const type = (text: string) => new TextEncoder().encode(text);

describe("a connection", () => {
  test("comes back to the same shell by itself, and drops what was typed meanwhile", async () => {
    await using server = await TestServer.start();
    const id = await server.open(
      "stty -echo; echo ready; while read line; do echo got:$line; done",
    );
    using viewer = new Viewer(server.url(id));
    await viewer.shows("ready");
    expect(viewer.connection.sendInput(type("one\r"))).toBe(true);
    await viewer.shows("got:one");
    await server.dropConnections();
    await until("the loss is noticed", () => viewer.states.includes("reconnecting"));
    expect(viewer.connection.sendInput(type("lost\r"))).toBe(false);
    await until("it is back", () => viewer.states.at(-1) === "connected");
    await viewer.shows("got:one");
    viewer.connection.sendInput(type("two\r"));
    await viewer.shows("got:two");
    expect(viewer.text).not.toContain("lost");
    expect(viewer.states).toEqual(["connected", "reconnecting", "connected"]);
  });

  test("brings what was typed before it was there, in order", async () => {
    await using server = await TestServer.start();
    const id = await server.open(
      "stty -echo; echo ready; while read line; do echo got:$line; done",
    );
    using viewer = new Viewer(server.url(id));
    expect(viewer.connection.state.name).toBe("connecting");
    for (const key of "early\rbird\r") expect(viewer.connection.sendInput(type(key))).toBe(true);
    expect(viewer.connection.sendInput(new Uint8Array(5000))).toBe(false);
    await viewer.shows("got:early");
    await viewer.shows("got:bird");
  });

  test("acknowledges enough for a flood to go on", async () => {
    await using server = await TestServer.start();
    const id = await server.open(
      "stty -echo; echo ready; read go; yes | head -c 3000000; echo end",
    );
    using viewer = new Viewer(server.url(id));
    await viewer.shows("ready");
    viewer.connection.sendInput(type("\r"));
    await viewer.shows("end");
    expect(viewer.text.length).toBeGreaterThan(10 * limits.highWaterBytes);
  });

  test("ends when the terminal is closed, and doesn't try again", async () => {
    await using server = await TestServer.start();
    const id = await server.open("echo ready; sleep 100");
    using viewer = new Viewer(server.url(id));
    await viewer.shows("ready");
    await server.gateway.close("lab", id);
    await until("it ended", () => viewer.states.at(-1) === "ended");
    expect(viewer.connection.state).toEqual({ name: "ended", reason: "this terminal was closed" });
  });

  test("ends when the server is there and the terminal isn't", async () => {
    using viewer = new Viewer("ws://127.0.0.1:9/");
    await until("it tried several times", () => viewer.states.length >= 3);
    viewer.exists = false;
    await until("it ended", () => viewer.states.at(-1) === "ended");
  });
});

const key = (code: string, modifiers: Partial<Record<string, boolean>> = {}) => ({
  code,
  key: code.replace("Key", "").toLowerCase(),
  ctrlKey: false,
  shiftKey: false,
  altKey: false,
  metaKey: false,
  ...modifiers,
});

test.each([
  ["linux", "KeyC", { ctrlKey: true }, true, "program"],
  ["linux", "KeyC", { ctrlKey: true, shiftKey: true }, true, "copy"],
  ["linux", "KeyV", { ctrlKey: true, shiftKey: true }, false, "browser"],
  ["linux", "Insert", { shiftKey: true }, false, "browser"],
  ["linux", "KeyV", { ctrlKey: true }, false, "program"],
  ["linux", "KeyF", { ctrlKey: true, shiftKey: true }, false, "search"],
  ["linux", "KeyF", { ctrlKey: true }, false, "program"],
  ["linux", "Minus", { ctrlKey: true }, false, "browser"],
  ["windows", "Digit0", { ctrlKey: true }, false, "browser"],
  ["linux", "Minus", { ctrlKey: true, shiftKey: true }, false, "program"],
  ["mac", "KeyF", { metaKey: true }, false, "search"],
  ["windows", "KeyC", { ctrlKey: true }, true, "copy"],
  ["windows", "KeyC", { ctrlKey: true }, false, "program"],
  ["mac", "KeyC", { ctrlKey: true }, true, "program"],
  ["mac", "KeyC", { metaKey: true }, true, "copy"],
  ["mac", "KeyV", { metaKey: true }, false, "browser"],
] as const)(
  "on %s %s with %j (selection: %s) is for the %s",
  (platform, code, mods, selected, action) => {
    expect(keyAction(key(code, mods), platform, selected)).toBe(action);
  },
);

test("platforms are told by the user agent", () => {
  expect(platformOf("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)")).toBe("mac");
  expect(platformOf("Mozilla/5.0 (Windows NT 10.0; Win64; x64)")).toBe("windows");
  expect(platformOf("Mozilla/5.0 (X11; Linux x86_64)")).toBe("linux");
});

test("Esc leaves when pressed twice in a row, three times in a full-screen program", () => {
  const escapes = new EscapeCounter();
  const press = (name: string, atMs: number, full = false) => escapes.press(name, full, atMs);
  expect([press("Escape", 0), press("Escape", 200)]).toEqual([false, true]);
  expect([press("Escape", 1000), press("Escape", 2000)]).toEqual([false, false]);
  expect([press("Escape", 4000), press("j", 4100), press("Escape", 4200)]).not.toContain(true);
  const full = [5000, 5100, 5200].map((atMs) => press("Escape", atMs, true));
  expect(full).toEqual([false, false, true]);
});

test("a command is sent once, to one terminal, unless it was refused", () => {
  const runs = new RunLedger();
  expect(runs.find("a")).toBeUndefined();
  runs.sent("a", "t-1");
  expect(runs.find("a")).toMatchObject({ terminalId: "t-1" });
  runs.acknowledge("a", "full-screen");
  expect(runs.find("a")).toBeUndefined();
  runs.sent("a", "t-2");
  runs.acknowledge("a", "typed");
  expect(runs.find("a")).toBe("typed");
});

test("Ctrl on a touch keyboard sends control characters, and leaves the rest alone", () => {
  expect(["c", "C", "[", " ", "?", "я", "ls", "\r"].map(controlKey)).toEqual([
    "\u0003",
    "\u0003",
    "\u001b",
    "\u0000",
    "\u007f",
    "я",
    "ls",
    "\r",
  ]);
});

test.each([
  ["http://localhost:8080/a?b=1", { host: "host2", port: 8080, path: "/a?b=1" }],
  ["http://0.0.0.0", { host: "host2", port: 80, path: "/" }],
  ["http://[::1]:5000/", { host: "host2", port: 5000, path: "/" }],
  ["http://host1:81/x", { host: "host1", port: 81, path: "/x" }],
  ["http://172.17.0.2:80/", "inside"],
  ["http://localhost.evil.example:8080/", "outside"],
  ["https://localhost:8443/", "inside"],
  ["https://docs.docker.com/", "outside"],
  ["http://172.217.0.2/", "outside"],
])("the link %s in a terminal of host2 leads to %j", (address, target) => {
  expect(targetOf(new URL(address), "host2", ["host1", "host2"])).toEqual(target);
});

test("titles and pastes lose what could do harm", () => {
  expect(safeTitle("root\u202e@lab\u0007\u001b[31m <b>")).toBe("root@lab  [31m <b>");
  expect(safeTitle("x".repeat(100))).toHaveLength(60);
  expect(safePaste("a\tb\r\nc\u001b[201~rm -rf /\u0003")).toBe("a\tb\r\nc[201~rm -rf /");
});

import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { unfinishedTail } from "../../../src/terminal/server/keeper/escape-tail.ts";
import { Mirror } from "../../../src/terminal/server/keeper/mirror.ts";

const require = createRequire(import.meta.url);
const { Terminal }: typeof import("@xterm/headless") = require("@xterm/headless");
const size = { columns: 80, rows: 24 };

function mirror(replies: string[] = []): Mirror {
  return new Mirror(size, { onReply: (text) => replies.push(text), onBacklog: () => undefined });
}

/** What a browser's terminal holds after `bytes`: all lines, the cursor and the modes. */
async function drawn(...parts: (Buffer | string)[]) {
  const terminal = new Terminal({ cols: 80, rows: 24, scrollback: 2000, allowProposedApi: true });
  for (const part of parts) await new Promise<void>((resolve) => terminal.write(part, resolve));
  const { active } = terminal.buffer;
  const lines = Array.from({ length: active.length }, (_, y) =>
    active.getLine(y)?.translateToString(true),
  );
  const { cursorX, cursorY, type } = active;
  const { modes } = terminal;
  const result = { lines, cursorX, cursorY, type, modes: { ...modes } };
  terminal.dispose();
  return result;
}

const numbered = (count: number) =>
  Array.from({ length: count }, (_, n) => `line ${n} ${"x".repeat(n % 60)}\r\n`).join("");

describe("a snapshot", () => {
  test.each([
    ["plain lines and a prompt", `${numbered(3_000)}root@lab:~# ls`],
    ["colours", `\x1b[1;31mred\x1b[0m and \x1b[48;5;20mblue\x1b[0m`],
    ["wide and combined characters", "сеть 网络 🐳 e\u0301 \r\nnext"],
    ["a full-screen program", `before\r\n\x1b[?1049h\x1b[2J\x1b[5;10Hinside\x1b[?2004h\x1b[?1h`],
    ["margins", `${numbered(30)}\x1b[3;10r\x1b[5;5Hhere`],
    ["mouse and paste modes", "\x1b[?1002h\x1b[?1006h\x1b[?2004hx"],
  ])("draws %s again", async (_, output) => {
    using mirrored = mirror();
    mirrored.feed(Buffer.from(output));
    const { bytes } = mirrored.snapshot();
    const after = "\r\nafter\nmore\x1b[Hend";
    expect(await drawn(bytes, after)).toEqual(await drawn(output, after));
  });

  test("taken anywhere inside characters and sequences loses nothing of them", async () => {
    const output = Buffer.from(
      "сеть 🐳\x1b[1;3\x31mx\x1b[0m\x1b]0;title\x07y\x1b]2;t\x1b\\z\x1b(B\x1bPq\x1b\\é\x1b[10;20Hq",
    );
    const whole = await drawn(output);
    for (let cut = 0; cut <= output.byteLength; cut++) {
      using mirrored = mirror();
      mirrored.feed(output.subarray(0, cut));
      const again = await drawn(mirrored.snapshot().bytes, output.subarray(cut));
      expect(again, `cut at ${cut}`).toEqual(whole);
    }
  });

  test("keeps the title, the cursor's look and the mouse's encoding", () => {
    using mirrored = mirror();
    mirrored.feed(Buffer.from("\x1b]0;vim\x07\x1b[?25l\x1b[3 q\x1b[?1006h"));
    expect(mirrored.snapshot().bytes.toString()).toBe("\x1b[?1006h\x1b[3 q\x1b[?25l\x1b]2;vim\x07");
  });
});

describe("a flood", () => {
  test.each([
    ["short lines", "y\r\n".repeat(1_000_000)],
    ["numbered lines", numbered(60_000)],
    ["lines after colours", `\x1b[32m${numbered(60_000)}`],
    ["lines inside an unfinished sequence", `\x1b[3${numbered(60_000)}`],
    ["lines in a full-screen program", `\x1b[?1049h\x1b[5;5H${numbered(60_000)}`],
    ["lines under margins", `\x1b[3;10r\x1b[20;1H${numbered(60_000)}`],
    ["staircase lines", numbered(60_000).replaceAll("\r\n", "\n")],
    ["colours in all lines", numbered(20_000).replaceAll("line", "\x1b[31mline\x1b[0m")],
  ])("of %s ends with the screen that it would have ended with", async (_, output) => {
    using mirrored = mirror();
    const bytes = Buffer.from(output);
    for (let offset = 0; offset < bytes.byteLength; offset += 32_768) {
      mirrored.feed(bytes.subarray(offset, offset + 32_768));
    }
    expect(await drawn(mirrored.snapshot().bytes)).toEqual(await drawn(bytes));
  });

  test("of plain lines is mostly not parsed", () => {
    using mirrored = mirror();
    const bytes = Buffer.from("y\r\n".repeat(20_000));
    for (let round = 0; round < 100; round++) mirrored.feed(bytes);
    expect(mirrored.skippedBytes).toBeGreaterThan(0.8 * 100 * bytes.byteLength);
  });
});

test("a program's questions are answered without a viewer", () => {
  const replies: string[] = [];
  using mirrored = mirror(replies);
  mirrored.feed(Buffer.from("abc\x1b[6n\x1b[c"));
  mirrored.flush();
  expect(replies).toEqual(["\x1b[1;4R", "\x1b[?1;2c"]);
});

test.each([
  ["", ""],
  ["plain", ""],
  ["\x1b", "\x1b"],
  ["\x1b[1;3", "\x1b[1;3"],
  ["\x1b[1;31m", ""],
  ["\x1b]0;title", "\x1b]0;title"],
  ["\x1b]0;title\x1b", "\x1b]0;title\x1b"],
  ["\x1b]0;title\x1b\\", ""],
  ["\x1b]0;title\x07", ""],
  ["\x1b(", "\x1b("],
  ["\x1b(B", ""],
])("%j ends unfinished with %j", (output, tail) => {
  expect(unfinishedTail(Buffer.from(output)).toString()).toBe(tail);
});

import { describe, expect, test } from "vitest";
import {
  type ClientMessage,
  clampSize,
  closeCodes,
  decodeClientMessage,
  decodeServerMessage,
  encodeClientMessage,
  encodeServerMessage,
  limits,
  ProtocolError,
  type ServerMessage,
} from "../../../src/terminal/protocol.ts";

const bytes = Uint8Array.from([0, 1, 0x1b, 0x80, 0xff]);

const clientMessages: readonly ClientMessage[] = [
  { type: "input", bytes },
  { type: "input", bytes: new Uint8Array() },
  {
    type: "run",
    id: "iptables:1",
    command: "docker network create сеть 🐳",
    interrupt: true,
    anyway: false,
  },
  { type: "resize", columns: 2, rows: 1 },
  { type: "resize", columns: 500, rows: 300 },
  { type: "ack", bytes: 0xffff_ffff },
  { type: "ping", token: 7 },
];

const serverMessages: readonly ServerMessage[] = [
  { type: "output", bytes },
  { type: "snapshot", reason: "attach", columns: 80, rows: 24, bytes },
  { type: "snapshot", reason: "resync", columns: 500, rows: 1, bytes: new Uint8Array() },
  { type: "size", columns: 132, rows: 43 },
  { type: "exited", code: 130, signal: 0 },
  { type: "exited", code: -1, signal: 9 },
  { type: "run-acknowledged", id: "a", outcome: "duplicate" },
  { type: "notice", code: "input-refused", text: "слишком много" },
  { type: "pong", token: 0 },
];

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return `${error.closeCode} ${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** A generator with a seed, so that a failure can be run again. */
function randomizer(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("the wire codec", () => {
  test.each(clientMessages)("carries $type from a client", (message) => {
    expect(decodeClientMessage(encodeClientMessage(message))).toEqual(message);
  });

  test.each(serverMessages)("carries $type from the server", (message) => {
    expect(decodeServerMessage(encodeServerMessage(message))).toEqual(message);
  });

  test("reads frames that lie anywhere in a bigger buffer", () => {
    const frame = encodeClientMessage({ type: "resize", columns: 81, rows: 25 });
    const buffer = new Uint8Array(20).fill(0xee);
    buffer.set(frame, 7);
    expect(decodeClientMessage(buffer.subarray(7, 12))).toEqual({
      type: "resize",
      columns: 81,
      rows: 25,
    });
  });

  test("says what is wrong with a client's frame", () => {
    const frames = [
      [],
      [0x00],
      [0x81, 65],
      [0x03, 0, 80, 0],
      [0x03, 0, 0, 0, 0],
      [0x03, 0xff, 0xff, 0xff, 0xff],
      [0x04, 1],
      [0x02, 0, 1, 0x41],
      [0x02, 0, 200, 0x41, 0x41],
      [0x02, 0, 1, 0x20, 0x41],
      [0x02, 0, 1, 0x41, 0xff],
      [0x02, 0, 1, 0xff, 0x41],
      [0x02, 0, 0, 0x41, 0x41],
      [0x02, 4, 1, 0x41, 0x41],
    ];
    const answers = frames.map((frame) =>
      refusal(() => decodeClientMessage(Uint8Array.from(frame))),
    );
    expect(answers).toMatchInlineSnapshot(`
      [
        "1002 empty-message: an empty message",
        "1002 unknown-type: unknown message type 0x00",
        "1002 unknown-type: unknown message type 0x81",
        "1002 wrong-length: resize message of 4 bytes",
        "1008 size-out-of-range: a terminal of 0×0 is outside 2×1 to 500×300",
        "1008 size-out-of-range: a terminal of 65535×65535 is outside 2×1 to 500×300",
        "1002 wrong-length: ack message of 2 bytes",
        "1002 wrong-length: run message of 4 bytes",
        "1002 wrong-length: run message of 5 bytes",
        "1002 run-id-invalid: a run id is 1 to 64 of A-Z a-z 0-9 _ . : -",
        "1007 text-not-utf8: text that is not UTF-8",
        "1007 text-not-utf8: text that is not UTF-8",
        "1002 run-id-invalid: a run id is 1 to 64 of A-Z a-z 0-9 _ . : -",
        "1002 value-out-of-range: unknown run flags 4",
      ]
    `);
    const tooBig = new Uint8Array(limits.clientMessageBytes + 1).fill(1);
    expect(refusal(() => decodeClientMessage(tooBig))).toMatchInlineSnapshot(
      `"1009 message-too-big: a message of 65537 bytes is over 65536"`,
    );
    expect(
      refusal(() =>
        encodeClientMessage({
          type: "run",
          id: "a",
          command: "x".repeat(limits.commandBytes + 1),
          interrupt: false,
          anyway: false,
        }),
      ),
    ).toMatchInlineSnapshot(`"1002 command-invalid: a command has 1 to 8192 bytes, not 8193"`);
  });

  test.each([
    [80.5, 24],
    [1e9, 24],
    [-1, 24],
    [0, 0],
    [Number.NaN, 24],
    [80, Number.POSITIVE_INFINITY],
  ])("sends no size of %d×%d", (columns, rows) => {
    expect(refusal(() => encodeClientMessage({ type: "resize", columns, rows }))).toContain(
      "size-out-of-range",
    );
    const size = clampSize({ columns, rows });
    expect(() => encodeClientMessage({ type: "resize", ...size })).not.toThrow();
  });

  test("refuses random bytes with a ProtocolError or reads what it would have written", () => {
    const random = randomizer(20260101);
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const frame = Uint8Array.from({ length: Math.floor(random() * 12) }, () =>
        Math.floor(random() * 256),
      );
      // Types that exist, half of the time: random ones would mostly test the first check.
      if (frame.byteLength > 0 && random() < 0.5) {
        frame[0] = (random() < 0.5 ? 0x00 : 0x80) + Math.floor(random() * 9);
      }
      for (const [decode, encode] of [
        [decodeClientMessage, encodeClientMessage],
        [decodeServerMessage, encodeServerMessage],
      ] as const) {
        try {
          const message = decode(frame);
          expect(encode(message as never)).toEqual(frame);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          expect(Buffer.byteLength(error.message)).toBeLessThanOrEqual(123);
          expect(Object.values(closeCodes)).toContain(error.closeCode);
          refused += 1;
        }
      }
    }
    expect(refused).toBeGreaterThan(10_000);
  });
});

import { expect, test } from "vitest";
import { FrameReader, frame } from "../../../src/terminal/server/framing.ts";

function bodies(): Buffer[] {
  return [0, 1, 3, 70_000, 5, 0, 200_000].map((length, index) => Buffer.alloc(length, index));
}

test.each([1, 2, 3, 7, 4_096, 65_536, 1_000_000])(
  "frames come out whole when the stream is cut each %d bytes",
  (step) => {
    const stream = Buffer.concat(bodies().map((body) => frame(body)));
    const reader = new FrameReader(1024 * 1024);
    const read: Buffer[] = [];
    for (let offset = 0; offset < stream.byteLength; offset += step) {
      reader.push(stream.subarray(offset, offset + step), (body) => read.push(Buffer.from(body)));
    }
    expect(read).toHaveLength(7);
    expect(Buffer.concat(read).equals(Buffer.concat(bodies()))).toBe(true);
  },
);

test("a length over the limit is refused before its bytes come", () => {
  const reader = new FrameReader(1024);
  const header = Buffer.from([0x7f, 0xff, 0xff, 0xff]);
  expect(() => reader.push(header, () => undefined)).toThrowErrorMatchingInlineSnapshot(
    `[RangeError: a frame of 2147483647 bytes is over the limit of 1024]`,
  );
});

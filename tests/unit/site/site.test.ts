import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { inlineScriptHashes } from "../../../src/build/content-security-policy.ts";
import { jsonLines } from "../../../src/lab/api.ts";

test("hashes inline scripts exactly as a browser does, and no data", () => {
  const body = "\n  window.x = '<b>';\n";
  const html = `<script>${body}</script><script type="module" src="/a.js"></script>
    <script type="application/ld+json">{"a":1}</script><SCRIPT data-src="x">1</SCRIPT>`;
  const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  expect(inlineScriptHashes(html)).toEqual([hash(body), hash("1")]);
});

test("reads JSON lines wherever the chunks end", async () => {
  const bytes = new TextEncoder().encode('{"a":"é"}\n\n{"b":2}\n{"c":3}');
  for (const size of [1, 2, 7, bytes.length]) {
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size) {
          controller.enqueue(bytes.subarray(at, at + size));
        }
        controller.close();
      },
    });
    expect(await Array.fromAsync(jsonLines(stream))).toEqual([{ a: "é" }, { b: 2 }, { c: 3 }]);
  }
});

import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { inlineScriptHashes } from "../../../src/build/content-security-policy.ts";
import { afterPaint } from "../../../src/build/load-after-paint.ts";
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

test("a built page asks for its modules and late stylesheets by one script, in their order", () => {
  const html = [
    '<html><head><link rel="stylesheet" href="/_astro/print.css" media="print">',
    '<link rel="stylesheet" href="/_astro/more.css"/><link rel="canonical" href="/"></head><body>',
    '<script type="module" src="/_astro/a.js"></script><script type="module">inline()</script>',
    '<p>text</p><script type="module" src="/_astro/b.js"></script></body></html>',
  ].join("");
  const built = afterPaint(html);
  expect(built).not.toMatch(/<script[^>]* src=/);
  expect(built).toContain('<script type="module">inline()</script><p>text</p>');
  expect(built).toContain('["/_astro/a.js","/_astro/b.js"]');
  expect(built).toContain('{"href":"/_astro/print.css","media":"print"}');
  expect(built).toContain('{"href":"/_astro/more.css","media":"all"}');
  // Where no script runs, stylesheets still do.
  const [, withoutScripts] = /<noscript>(.*)<\/noscript>/.exec(built) ?? [];
  expect(withoutScripts).toContain(
    '<link rel="stylesheet" href="/_astro/print.css" media="print">',
  );
  expect(built.replace(/<noscript>.*<\/noscript>/, "")).not.toContain('<link rel="stylesheet"');
  expect(built).toContain('<link rel="canonical" href="/">');
});

import { expect, test } from "vitest";
import { BUILT_ADDRESS, withAddress } from "../../../src/server/site-address.ts";

const page = (type: string, status = 200) =>
  new Response(`<link href="${BUILT_ADDRESS}/ru/"><a href="${BUILT_ADDRESS}/">é</a>`, {
    status,
    headers: { "content-type": type, "content-length": "70", "cache-control": "no-cache" },
  });

test("pages name the address under which they were asked for", async () => {
  for (const type of ["text/html; charset=utf-8", "application/xml", "text/plain"]) {
    const served = await withAddress(page(type, 404), "https://course.example.org");
    expect(await served.text()).toBe(
      '<link href="https://course.example.org/ru/"><a href="https://course.example.org/">é</a>',
    );
    expect(served.status).toBe(404);
    expect(served.headers.get("content-length")).toBeNull();
    expect(served.headers.get("cache-control")).toBe("no-cache");
  }
});

test("scripts and fonts pass as they are", async () => {
  for (const type of ["text/javascript", "font/woff2", "image/svg+xml", ""]) {
    const response = page(type);
    expect(await withAddress(response, "https://course.example.org")).toBe(response);
  }
});

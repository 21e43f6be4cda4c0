import { spawn } from "node:child_process";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { TestServer, until } from "./harness.ts";

describe("a terminal", () => {
  test("shows what its program writes and takes what is typed", async () => {
    await using server = await TestServer.start();
    const id = await server.open("read line; echo got:$line; sleep 100");
    using client = await server.connect(id);
    client.type("hello\r");
    await client.sees("got:hello");
  });

  test("has a socket for its owner alone", async () => {
    await using server = await TestServer.start();
    await server.open("sleep 100");
    const folder = join(server.stateDir, "terminals");
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, "lab.sock"))).mode & 0o777).toBe(0o600);
  });
});

import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { controlVersion } from "../../../src/terminal/server/control.ts";
import { frame } from "../../../src/terminal/server/framing.ts";
import { Keeper } from "../../../src/terminal/server/keeper/keeper.ts";

test("ends when all its shells have ended and nobody looks, and not while one lives", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pb-"));
  const path = join(folder, "s");
  let ended = false;
  const keeper = new Keeper(
    () => {
      ended = true;
    },
    { abandonedMs: 200 },
  );
  await keeper.listen(path);
  const open = (terminalId: string, script: string) => {
    const command = { file: "/bin/sh", args: ["-c", script], env: {} };
    const request = {
      version: controlVersion,
      op: "open",
      terminalId,
      command,
      columns: 80,
      rows: 24,
    };
    const socket = connect(path);
    socket.on("data", () => socket.end());
    socket.write(frame(Buffer.from(JSON.stringify(request))));
  };
  open("quick", "true");
  open("slow", "sleep 1");
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(ended).toBe(false);
  await expect.poll(() => ended, { timeout: 10_000 }).toBe(true);
  rmSync(folder, { recursive: true, force: true });
});

/**
 * `npm start` when all is there already: from the command to the address, and from the first visit to a
 * prompt, as a student's browser would ask. Table on stderr, JSON on stdout.
 *
 *   node bench/start.ts [--runs 3]
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import { openSandbox } from "../sandbox/open.ts";
import { decodeServerMessage, terminalSubprotocol } from "../src/terminal/protocol.ts";

const { values } = parseArgs({ options: { runs: { type: "string", default: "3" } } });
const script = fileURLToPath(new URL("../scripts/start.mjs", import.meta.url));
const samples = {
  "npm start to the address, ms": [] as number[],
  "first visit to the prompt, ms": [] as number[],
};

async function prompt(url: string): Promise<void> {
  const visit = await fetch(url);
  const cookie = visit.headers.get("set-cookie")?.split(";")[0] ?? "";
  const { origin } = new URL(url);
  const headers = { cookie, origin, "content-type": "application/json" };
  const post = async (path: string, body: object) =>
    (await fetch(origin + path, { method: "POST", headers, body: JSON.stringify(body) })).json();
  let lab = await post("/api/labs", { lab: "iptables" });
  while (lab.state === "starting") {
    await new Promise((resolve) => setTimeout(resolve, 50));
    lab = await (await fetch(`${origin}/api/labs/${lab.id}`, { headers })).json();
  }
  const { id } = await post(`/api/labs/${lab.id}/terminals`, { columns: 80, rows: 24 });
  const address = `${origin.replace("http", "ws")}/api/labs/${lab.id}/terminals/${id}/socket`;
  const socket = new WebSocket(address, terminalSubprotocol, { headers: { cookie, origin } });
  await new Promise<void>((resolve, reject) => {
    let shown = "";
    socket.on("error", reject);
    socket.on("message", (data: Buffer) => {
      const message = decodeServerMessage(data);
      if ("bytes" in message) shown += Buffer.from(message.bytes).toString();
      if (shown.includes("root@host1")) resolve();
    });
  });
  socket.terminate();
}

for (let run = 0; run < Number(values.runs); run += 1) {
  const stateDir = mkdtempSync(join(tmpdir(), "patchbay-bench-"));
  const env = { ...process.env, PATCHBAY_STATE_DIR: stateDir, PATCHBAY_ENGINE: "managed" };
  const startMs = performance.now();
  const server = spawn("node", [script, "--port", "0"], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    let printed = "";
    for await (const chunk of server.stdout) {
      printed += chunk;
      if (/Patchbay is at \S+\n/.test(printed)) break;
    }
    const url = printed.match(/Patchbay is at (\S+)/)?.[1];
    if (url === undefined) throw new Error("The server did not start.");
    samples["npm start to the address, ms"].push(performance.now() - startMs);
    const visitMs = performance.now();
    await prompt(url);
    samples["first visit to the prompt, ms"].push(performance.now() - visitMs);
  } finally {
    server.kill("SIGTERM");
    if (server.exitCode === null) await new Promise((resolve) => server.once("exit", resolve));
    await using engine = await openSandbox({ engine: "managed" });
    for (const { id } of await engine.list()) await engine.down(id);
    rmSync(stateDir, { recursive: true, force: true });
  }
}
const rows = Object.entries(samples).map(([name, numbers]) => ({
  name,
  median: Math.round(
    numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN,
  ),
  runs: numbers.map(Math.round),
}));
for (const { name, median, runs } of rows) {
  process.stderr.write(`${name}: median ${median} (${runs.join(", ")})\n`);
}
process.stdout.write(`${JSON.stringify(rows)}\n`);

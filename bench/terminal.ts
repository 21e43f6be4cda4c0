/**
 * Keystroke echo and bulk throughput of a terminal, through WebSocket, gateway and keeper, beside
 * node-pty in this process; and what a terminal costs in memory. A table goes to stderr, JSON to stdout.
 *
 *   node bench/terminal.ts [--runs 5] [--keystrokes 2000] [--megabytes 64]
 *
 * Web server, keeper and client are three processes, as in a course. The client counts and
 * acknowledges; it draws nothing, since what a browser can draw is not the server's limit.
 */
import { fork } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { spawn as spawnNodePty } from "node-pty";
import { WebSocket, WebSocketServer } from "ws";
import type { PtyCommand } from "../sandbox/index.ts";
import {
  decodeServerMessage,
  encodeClientMessage,
  limits,
  terminalSubprotocol,
} from "../src/terminal/protocol.ts";
import { TerminalGateway, terminalWebSocketOptions } from "../src/terminal/server/index.ts";

const lab = "bench";
const size = { columns: 80, rows: 24 };
/** The kernel echoes; cat takes the input away. */
const echoScript = "stty -icanon echo; echo ready; exec cat >/dev/null";
const line = "The quick brown fox jumps over the lazy dog 0123456789 abcdefghijklm\\n";
const colouredLine =
  "\\033[32mThe quick\\033[0m brown \\033[1;34mfox\\033[0m jumps over the dog\\n";

function shell(script: string): PtyCommand {
  return { file: "/bin/sh", args: ["-c", script], env: {} };
}

/** Waits for a newline before the flood, so that the clock starts with the first byte asked for. */
function bulkScript(text: string, bytes: number): string {
  return `stty -echo; echo ready; read go; yes "$(printf '${text}')" | head -c ${bytes}; printf 'the-end'; sleep 1000`;
}

/** One end of a terminal, in process or over the wire. */
interface Connection extends AsyncDisposable {
  write(bytes: Buffer): void;
  onBytes(listener: (bytes: Uint8Array) => void): void;
}

function connectInProcess(script: string): Connection {
  const { file, args, env } = shell(script);
  const pty = spawnNodePty(file, [...args], {
    encoding: null,
    env: { ...env, PATH: process.env["PATH"] ?? "" },
    cols: size.columns,
    rows: size.rows,
  });
  return {
    write: (bytes) => pty.write(bytes.toString("latin1")),
    onBytes: (listener) => {
      pty.onData((data) => listener(data as unknown as Uint8Array));
    },
    [Symbol.asyncDispose]: async () => {
      pty.kill("SIGKILL");
    },
  };
}

async function connectOverWire(
  gateway: TerminalGateway,
  port: number,
  script: string,
): Promise<Connection> {
  const { id } = await gateway.open(lab, () => shell(script), size, { host: "host1" });
  const webSocket = new WebSocket(`ws://127.0.0.1:${port}/${id}`, terminalSubprotocol, {
    perMessageDeflate: false,
  });
  const listeners: ((bytes: Uint8Array) => void)[] = [];
  let unacknowledged = 0;
  webSocket.on("message", (data) => {
    const message = decodeServerMessage(data as Buffer);
    if (message.type !== "output" && message.type !== "snapshot") return;
    for (const listener of listeners) listener(message.bytes);
    unacknowledged += message.bytes.byteLength;
    if (unacknowledged < limits.ackBytes) return;
    webSocket.send(encodeClientMessage({ type: "ack", bytes: unacknowledged }));
    unacknowledged = 0;
  });
  await new Promise<void>((resolve, reject) => {
    webSocket.once("open", () => resolve());
    webSocket.once("error", reject);
  });
  return {
    write: (bytes) => webSocket.send(encodeClientMessage({ type: "input", bytes })),
    onBytes: (listener) => listeners.push(listener),
    [Symbol.asyncDispose]: async () => {
      webSocket.terminate();
      await gateway.close(lab, id);
    },
  };
}

async function waitFor(connection: Connection, text: string): Promise<void> {
  await new Promise<void>((resolve) => {
    let seen = "";
    connection.onBytes((bytes) => {
      seen = (seen + Buffer.from(bytes).toString("latin1")).slice(-8192);
      if (seen.includes(text)) resolve();
    });
  });
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

interface Echo {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function measureEcho(connection: Connection, keystrokes: number): Promise<Echo> {
  await waitFor(connection, "ready");
  await sleep(100);
  let echoed: (() => void) | undefined;
  connection.onBytes(() => echoed?.());
  const times: number[] = [];
  const warmUp = 200;
  for (let index = 0; index < keystrokes + warmUp; index++) {
    const startMs = performance.now();
    await new Promise<void>((resolve) => {
      echoed = resolve;
      connection.write(Buffer.from("x"));
    });
    if (index >= warmUp) times.push(performance.now() - startMs);
    // Nobody types the next key in the same turn of the event loop.
    await sleep(1);
  }
  times.sort((a, b) => a - b);
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
}

async function measureBulk(connection: Connection): Promise<number> {
  await waitFor(connection, "ready");
  await sleep(100);
  let bytes = 0;
  const end = Buffer.from("the-end");
  let tail: Buffer = Buffer.alloc(0);
  const done = new Promise<void>((resolve) => {
    connection.onBytes((chunk) => {
      bytes += chunk.byteLength;
      tail = Buffer.concat([tail, chunk.subarray(-end.byteLength)]).subarray(-end.byteLength);
      if (tail.equals(end)) resolve();
    });
  });
  const startMs = performance.now();
  connection.write(Buffer.from("\n"));
  await done;
  return bytes / 1e6 / ((performance.now() - startMs) / 1_000);
}

async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

async function measureMemory(gateway: TerminalGateway) {
  const open = () => gateway.open(lab, () => shell("sleep 1000"), size, { host: "host1" });
  await open();
  await sleep(500);
  const [keeperPid] = await keeperPids();
  if (keeperPid === undefined) throw new Error("no keeper process found in /proc");
  const one = await residentMegabytes(keeperPid);
  for (let index = 0; index < 10; index++) await open();
  await sleep(500);
  const eleven = await residentMegabytes(keeperPid);
  await gateway.closeLab(lab);
  return { oneTerminalMb: one, elevenTerminalsMb: eleven, eachMb: (eleven - one) / 10 };
}

let stateDir = "";

async function keeperPids(): Promise<number[]> {
  const { readdir } = await import("node:fs/promises");
  const found: number[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const command = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    if (command.includes(join(stateDir, "terminals", `${lab}.sock`))) found.push(Number(name));
  }
  return found;
}

/** The web server of the bench, in a process of its own. */
async function serve(folder: string): Promise<void> {
  const gateway = new TerminalGateway({ stateDir: folder });
  const http = createServer();
  const webSockets = new WebSocketServer({ ...terminalWebSocketOptions, noServer: true });
  http.on("upgrade", (request, socket, head) => {
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      void gateway.attach(lab, (request.url ?? "").slice(1), webSocket);
    });
  });
  http.listen(0, "127.0.0.1", () => process.send?.((http.address() as AddressInfo).port));
  process.once("disconnect", () => process.exit(0));
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "5" },
      keystrokes: { type: "string", default: "2000" },
      megabytes: { type: "string", default: "64" },
      serve: { type: "string" },
    },
  });
  if (values.serve !== undefined) {
    await serve(values.serve);
    return;
  }
  const runs = Number(values.runs);
  const keystrokes = Number(values.keystrokes);
  const bytes = Number(values.megabytes) * 1e6;
  stateDir = await mkdtemp(join(tmpdir(), "patchbay-bench-"));
  const server = fork(fileURLToPath(import.meta.url), ["--serve", stateDir]);
  const port = await new Promise<number>((resolve) => server.once("message", resolve));
  const gateway = new TerminalGateway({ stateDir });

  const connections: Record<string, (script: string) => Promise<Connection>> = {
    "node-pty in process": async (script) => connectInProcess(script),
    "patchbay over WebSocket": (script) => connectOverWire(gateway, port, script),
  };
  const samples = Object.fromEntries(
    Object.keys(connections).map((name) => [
      name,
      { echoes: [] as Echo[], plain: [] as number[], coloured: [] as number[] },
    ]),
  );
  // Runs alternate, so that a noisy minute of the machine hits both.
  for (let run = 0; run < runs; run++) {
    for (const [name, connect] of Object.entries(connections)) {
      const sample = samples[name];
      if (sample === undefined) continue;
      {
        await using connection = await connect(echoScript);
        sample.echoes.push(await measureEcho(connection, keystrokes));
      }
      {
        await using connection = await connect(bulkScript(line, bytes));
        sample.plain.push(await measureBulk(connection));
      }
      {
        await using connection = await connect(bulkScript(colouredLine, bytes / 2));
        sample.coloured.push(await measureBulk(connection));
      }
      process.stderr.write(`run ${run + 1} of ${runs}: ${name}\n`);
    }
  }
  await gateway.closeLab(lab);
  await sleep(1_000);
  const memory = await measureMemory(gateway);
  server.disconnect();
  await sleep(300);
  await rm(stateDir, { recursive: true, force: true });

  const results = Object.entries(samples).map(([name, { echoes, plain, coloured }]) => ({
    name,
    echoP50Ms: round(median(echoes.map(({ p50Ms }) => p50Ms)), 3),
    echoP99Ms: round(median(echoes.map(({ p99Ms }) => p99Ms)), 3),
    plainMbPerS: round(median(plain), 1),
    colouredMbPerS: round(median(coloured), 1),
  }));
  const heading = ["", "echo p50 ms", "echo p99 ms", "plain MB/s", "coloured MB/s"];
  const table = [
    heading,
    ...results.map((result) => Object.values(result).map((value) => String(value))),
  ];
  for (const row of table) {
    process.stderr.write(
      `${row.map((cell, column) => (column === 0 ? cell.padEnd(26) : cell.padStart(15))).join("")}\n`,
    );
  }
  process.stderr.write(
    `keeper memory: ${round(memory.oneTerminalMb, 1)} MB with 1 terminal, ${round(memory.elevenTerminalsMb, 1)} MB with 11, ${round(memory.eachMb, 2)} MB each\n`,
  );
  const { length: cores } = cpus();
  process.stdout.write(
    `${JSON.stringify({ bench: "terminal", node: process.version, cores, runs, keystrokes, bulkBytes: bytes, results, memory }, null, 2)}\n`,
  );
}

await main();

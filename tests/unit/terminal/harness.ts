/** A real gateway behind a real HTTP server on loopback, and a client that reads as told. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import type { PtyCommand } from "../../../sandbox/index.ts";
import {
  type ClientMessage,
  decodeServerMessage,
  encodeClientMessage,
  type RunOutcome,
  type ServerMessage,
  terminalSubprotocol,
} from "../../../src/terminal/protocol.ts";
import {
  TerminalGateway,
  type TerminalGatewayOptions,
  terminalWebSocketOptions,
} from "../../../src/terminal/server/index.ts";

export function shell(script: string): () => PtyCommand {
  return () => ({ file: "/bin/sh", args: ["-c", script], env: { PS1: "$ " } });
}

export const size = { columns: 80, rows: 24 } as const;
export const place = { host: "host1" } as const;

/** Polls until `check` is true; fails with `what` after `timeoutMs`. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await check())) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(5);
  }
}

export class TestServer implements AsyncDisposable {
  readonly gateway: TerminalGateway;
  readonly stateDir: string;
  readonly #http;
  readonly #ownsState: boolean;
  readonly #sockets = new Set<Duplex>();

  private constructor(
    stateDir: string,
    ownsState: boolean,
    options: Partial<TerminalGatewayOptions>,
  ) {
    this.stateDir = stateDir;
    this.#ownsState = ownsState;
    this.gateway = new TerminalGateway({ stateDir, ...options });
    const webSockets = new WebSocketServer({ ...terminalWebSocketOptions, noServer: true });
    this.#http = createServer();
    this.#http.on("upgrade", (request, socket, head) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      const [, labId = "", terminalId = ""] = (request.url ?? "").split("/");
      webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        void this.gateway.attach(labId, terminalId, webSocket);
      });
    });
  }

  /** With `stateDir` of another server: shares its keepers and leaves the folder alone. */
  static async start(
    options: Partial<TerminalGatewayOptions> & { stateDir?: string } = {},
  ): Promise<TestServer> {
    const { stateDir, ...rest } = options;
    const folder = stateDir ?? (await mkdtemp(join(tmpdir(), "patchbay-")));
    const server = new TestServer(folder, stateDir === undefined, rest);
    await new Promise<void>((resolve) => server.#http.listen(0, "127.0.0.1", resolve));
    return server;
  }

  async open(script: string, lab = "lab"): Promise<string> {
    return (await this.gateway.open(lab, shell(script), size, place)).id;
  }

  url(terminalId: string, lab = "lab"): string {
    const { port } = this.#http.address() as AddressInfo;
    return `ws://127.0.0.1:${port}/${lab}/${terminalId}`;
  }

  /** Cuts all connections, as a lost network does. */
  async dropConnections(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
  }

  async connect(terminalId: string, lab = "lab"): Promise<TestClient> {
    const webSocket = new WebSocket(this.url(terminalId, lab), terminalSubprotocol, {
      perMessageDeflate: false,
    });
    const client = new TestClient(webSocket);
    await new Promise<void>((resolve, reject) => {
      webSocket.once("open", () => resolve());
      webSocket.once("error", reject);
    });
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ownsState) await this.gateway.closeLab("lab");
    await this.gateway[Symbol.asyncDispose]();
    this.#http.closeAllConnections();
    await new Promise<void>((resolve) => this.#http.close(() => resolve()));
    if (!this.#ownsState) return;
    // The keeper ends by itself once its shells are gone; the folder is its until then.
    await until("the keeper has ended", async () => {
      const { readdir } = await import("node:fs/promises");
      const names = await readdir(join(this.stateDir, "terminals")).catch(() => [] as string[]);
      return !names.some((name) => name.endsWith(".sock"));
    });
    await rm(this.stateDir, { recursive: true, force: true });
  }
}

/** A viewer without a screen: it counts, collects and acknowledges. */
export class TestClient implements Disposable {
  readonly webSocket: WebSocket;
  readonly messages: Exclude<ServerMessage, { type: "output" }>[] = [];
  /** Bytes of output and snapshots received. */
  receivedBytes = 0;
  closed: { readonly code: number; readonly reason: string } | undefined;
  /** Whether output is acknowledged, as a browser does once it is drawn. */
  acknowledging = true;
  /** Last bytes received, at most `keepBytes`. */
  keepBytes = 4 * 1024 * 1024;
  #chunks: Buffer[] = [];
  #keptBytes = 0;
  #unacknowledged = 0;

  constructor(webSocket: WebSocket) {
    this.webSocket = webSocket;
    webSocket.on("message", (data) => this.#receive(data));
    webSocket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.bytes.toString("utf8");
  }

  forget(): void {
    this.#chunks = [];
    this.#keptBytes = 0;
  }

  send(message: ClientMessage): void {
    this.webSocket.send(encodeClientMessage(message));
  }

  run(id: string, command: string, how: { interrupt?: boolean; anyway?: boolean } = {}): void {
    this.send({ type: "run", id, command, interrupt: false, anyway: false, ...how });
  }

  /** What became of a run, once it is told. */
  async outcome(id: string): Promise<RunOutcome> {
    const told = () => this.of("run-acknowledged").find((message) => message.id === id);
    await until(`run ${id} is answered`, () => told() !== undefined, 15_000);
    return told()?.outcome as RunOutcome;
  }

  type(text: string): void {
    const bytes = Buffer.from(text);
    for (let offset = 0; offset < bytes.byteLength; offset += 16_384) {
      this.send({ type: "input", bytes: bytes.subarray(offset, offset + 16_384) });
    }
  }

  of<Type extends ServerMessage["type"]>(type: Type): Extract<ServerMessage, { type: Type }>[] {
    return this.messages.filter(
      (message): message is Extract<typeof message, { type: Type }> => message.type === type,
    ) as Extract<ServerMessage, { type: Type }>[];
  }

  async sees(text: string, timeoutMs?: number): Promise<void> {
    await until(
      `the screen shows ${JSON.stringify(text)}`,
      () => this.text.includes(text),
      timeoutMs,
    );
  }

  async isClosed(): Promise<{ readonly code: number; readonly reason: string }> {
    await until("the WebSocket is closed", () => this.closed !== undefined);
    return this.closed as { readonly code: number; readonly reason: string };
  }

  [Symbol.dispose](): void {
    this.webSocket.terminate();
  }

  /** Acknowledges all that was received and not yet acknowledged. */
  acknowledge(): void {
    if (this.#unacknowledged > 0) this.send({ type: "ack", bytes: this.#unacknowledged });
    this.#unacknowledged = 0;
  }

  #receive(data: RawData): void {
    const message = decodeServerMessage(data as Buffer);
    if (message.type !== "output") this.messages.push(message);
    if (message.type !== "output" && message.type !== "snapshot") return;
    const { bytes } = message;
    this.receivedBytes += bytes.byteLength;
    this.#chunks.push(Buffer.from(bytes));
    this.#keptBytes += bytes.byteLength;
    while (this.#keptBytes > this.keepBytes) {
      this.#keptBytes -= this.#chunks.shift()?.byteLength ?? 0;
    }
    this.#unacknowledged += bytes.byteLength;
    if (this.acknowledging) this.acknowledge();
  }
}

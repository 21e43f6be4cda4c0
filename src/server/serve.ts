import type { Server } from "node:http";
import os from "node:os";
import type { DatabaseSync } from "node:sqlite";
import { serve as serveNode } from "@hono/node-server";
import { exercises as courseExercises, type Exercise } from "../../graders/index.ts";
import type { SandboxEngine } from "../../sandbox/index.ts";
import { TerminalGateway } from "../terminal/server/index.ts";
import { createApp } from "./app.ts";
import { attempt, lockState, openDatabase } from "./database.ts";
import { LabService, type LabSettings } from "./labs.ts";
import { allowedNames, isLoopback } from "./origin.ts";
import { runningServer } from "./pid-file.ts";
import { PortLinks, type PortRange } from "./ports/port-links.ts";
import { ProgressStore } from "./progress.ts";
import { SessionCookie } from "./session-cookie.ts";
import { SessionStore } from "./sessions.ts";
import { handleUpgrades } from "./upgrades.ts";
import { LabWatches } from "./watches.ts";

export interface ServeOptions {
  readonly engine: SandboxEngine;
  /** Name or address to listen on: `127.0.0.1`. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly siteDir: string;
  readonly stateDir: string;
  /** Address that a proxy before this server has: `https://patchbay.example.org`. */
  readonly publicUrl?: URL | undefined;
  /** Ports that links to ports of labs listen on; without, whatever is free. */
  readonly ports?: PortRange | undefined;
  /**
   * Address of such a link for browsers, with `{port}` for the number that it listens on:
   * `https://p{port}.labs.example.org/`. Without: the course's address with that port.
   */
  readonly portsUrl?: string | undefined;
  readonly settings?: Partial<LabSettings>;
  /** Default: the course's. */
  readonly exercises?: readonly Exercise[];
  readonly log?: (message: string) => void;
}

/** A mistake in how the server was asked to start. */
export class ServeError extends Error {
  override readonly name = "ServeError";
}

export interface RunningServer extends AsyncDisposable {
  /** Address to open in a browser, with a slash at the end. */
  readonly url: string;
  /** What a timer does twice a minute: stops labs that nobody uses, removes what was left behind. */
  tidy(): Promise<void>;
}

/** Of browsers. Without a bound they could take all file descriptors, also those that labs need. */
const MAX_CONNECTIONS = 4000;
const ADMIT_MS = 1000;
const TIDY_MS = 30_000;
const LAB_MEMORY = 512 * 2 ** 20;
const HOUR_MS = 3_600_000;
const defaultSettings = (): LabSettings => ({
  maxLabs: Math.max(1, Math.floor(os.totalmem() / LAB_MEMORY)),
  warmLabs: 0,
  idleMs: 2 * HOUR_MS,
  keepMs: 14 * 24 * HOUR_MS,
});

function listening(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why: Readonly<Record<string, string>> = {
        EADDRINUSE: `Port ${port} of ${host} is taken. End what listens there, or take another: npm start -- --port ${port + 1}`,
        EACCES: `Port ${port} needs root. Take another: npm start -- --port 4321`,
        EADDRNOTAVAIL: `${host} is no address of this machine. Try --host 127.0.0.1`,
        ENOTFOUND: `There is no host "${host}". Try --host 127.0.0.1`,
      };
      reject(new ServeError(why[error.code ?? ""] ?? error.message));
    });
    server.once("listening", () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

/** Serves the course until disposed; labs and their shells outlive it. Throws `ServeError`. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { engine, host, stateDir, siteDir, publicUrl } = options;
  const log = options.log ?? ((message) => console.error(message));
  const { isolation } = await engine.describe();
  if (isolation === "privileged" && !isLoopback(host)) {
    throw new ServeError(
      `On this engine root in a lab is root of the machine, so the course is for you alone and not for ${host}. Leave --host out, or use the managed engine: npm start -- --engine managed`,
    );
  }
  const lock = lockState(stateDir);
  if (lock === undefined) {
    const pid = runningServer(stateDir);
    throw new ServeError(
      `Another course server${pid === undefined ? "" : ` (pid ${pid})`} runs with the state in ${stateDir}. End it with npm stop, or give this one another folder: PATCHBAY_STATE_DIR`,
    );
  }
  let database: DatabaseSync;
  try {
    database = openDatabase(stateDir);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
  const sessions = new SessionStore(database);
  const progress = new ProgressStore(database, log);
  const terminals: TerminalGateway = new TerminalGateway({
    stateDir,
    onUse: (lab) => labs.used(lab),
  });
  const settings = { ...defaultSettings(), ...options.settings };
  const labs = new LabService({ engine, sessions, terminals, settings, log });
  const server = serveNode({
    fetch: (request, environment) => app.fetch(request, environment),
    hostname: host,
    port: options.port,
    serverOptions: { maxHeaderSize: 16 * 1024, headersTimeout: 10_000, requestTimeout: 30_000 },
  }) as Server;
  server.maxConnections = MAX_CONNECTIONS;
  const port = await listening(server, host, options.port).catch((error) => {
    database.close();
    lock[Symbol.dispose]();
    throw error;
  });
  // Known only now where the port was 0.
  const names = allowedNames(host, port, publicUrl);
  const cookie = new SessionCookie(sessions, publicUrl?.protocol === "https:");
  const proxied = publicUrl && `${publicUrl.protocol}//${publicUrl.hostname}:{port}/`;
  const ports = new PortLinks({
    ...{ labs, host, log },
    range: options.ports,
    urlTemplate: options.portsUrl ?? proxied,
  });
  const { exercises = courseExercises } = options;
  const watches = new LabWatches(engine, log);
  const services = { ports, labs, terminals, progress, exercises, watches, log };
  const app = createApp({ ...services, sessions, names, siteDir, cookie });
  handleUpgrades(server, { cookie, labs, terminals, names, log });
  const told = (what: string) => (error: Error) => log(`${what}: ${error.stack ?? error.message}`);
  const tidy = async () => {
    progress.flush();
    attempt(log, "old sessions", () => sessions.prune());
    await labs.tidy().catch(told("tidying"));
    await ports.tidy();
  };
  const timers = [
    setInterval(() => void labs.admit().catch(told("line")), ADMIT_MS),
    setInterval(() => void tidy(), TIDY_MS),
  ];
  await tidy();
  const shown = host === "0.0.0.0" || host === "::" ? os.hostname() : host;
  return {
    url: publicUrl?.href ?? `http://${shown.includes(":") ? `[${shown}]` : shown}:${port}/`,
    tidy,
    async [Symbol.asyncDispose]() {
      for (const timer of timers) clearInterval(timer);
      await labs.drain();
      await ports[Symbol.asyncDispose]();
      const closed = new Promise((resolve) => server.close(resolve));
      await terminals[Symbol.asyncDispose]();
      server.closeAllConnections();
      await closed;
      await watches[Symbol.asyncDispose]();
      progress.flush();
      database.close();
      lock[Symbol.dispose]();
    },
  };
}

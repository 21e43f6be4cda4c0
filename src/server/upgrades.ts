import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import {
  closeCodes,
  type TerminalGateway,
  terminalSubprotocol,
  terminalWebSocketOptions,
} from "../terminal/server/index.ts";
import { ApiError, apiErrorOf } from "./errors.ts";
import type { LabService } from "./labs.ts";
import { type AllowedNames, isOwnOrigin } from "./origin.ts";
import { RateLimit } from "./rate-limit.ts";
import type { SessionCookie } from "./session-cookie.ts";

const PATH = /^\/api\/labs\/([a-z0-9-]{1,40})\/terminals\/([a-z0-9-]{1,40})\/socket$/;

export interface UpgradeOptions {
  readonly cookie: SessionCookie;
  readonly labs: LabService;
  readonly terminals: TerminalGateway;
  readonly names: AllowedNames;
  readonly log: (message: string) => void;
}

function refuse(socket: Duplex, error: ApiError): void {
  const body = JSON.stringify(error);
  const head = [
    `HTTP/1.1 ${error.status} ${error.code}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

/** Lets pages of the course, with a session, connect to terminals of labs that are the session's. */
export function handleUpgrades(server: Server, options: UpgradeOptions): void {
  const { cookie, labs, terminals, names, log } = options;
  const connections = new RateLimit(5, 60);
  const webSockets = new WebSocketServer({ noServer: true, ...terminalWebSocketOptions });

  async function admit(request: IncomingMessage): Promise<{ lab: string; terminal: string }> {
    const { host, origin } = request.headers;
    if (host === undefined || !names.hosts.has(host.toLowerCase())) {
      throw new ApiError(421, "host-unknown", "This server has another name.");
    }
    if (!isOwnOrigin(names, { origin, host })) {
      throw new ApiError(403, "origin-refused", "Only pages of this course may connect.");
    }
    const session = cookie.sessionOf(request.headers.cookie)?.id;
    if (session === undefined) throw new ApiError(401, "no-session", "There is no session.");
    const [, lab, terminal] = PATH.exec(new URL(request.url ?? "/", "http://x").pathname) ?? [];
    if (lab === undefined || terminal === undefined) {
      throw new ApiError(404, "not-found", "There is nothing to connect to.");
    }
    const protocols = request.headers["sec-websocket-protocol"] ?? "";
    if (!protocols.split(/\s*,\s*/).includes(terminalSubprotocol)) {
      throw new ApiError(400, "subprotocol", `A terminal speaks ${terminalSubprotocol}.`);
    }
    if (!connections.take(session)) {
      throw new ApiError(429, "too-many-requests", "Too many connections at once.");
    }
    await labs.get(session, lab);
    return { lab, terminal };
  }

  server.on("upgrade", (request, socket, head) => {
    const onError = () => socket.destroy();
    socket.on("error", onError);
    admit(request).then(
      ({ lab, terminal }) => {
        socket.off("error", onError);
        webSockets.handleUpgrade(request, socket, head, (webSocket) => {
          terminals.attach(lab, terminal, webSocket).catch((error: Error) => {
            log(`terminal ${terminal} of ${lab}: ${error.stack ?? error.message}`);
            webSocket.close(closeCodes.internalError);
          });
        });
      },
      (error) => {
        if (!(error instanceof ApiError)) log(`upgrade: ${(error as Error).stack}`);
        refuse(socket, apiErrorOf(error));
      },
    );
  });
}

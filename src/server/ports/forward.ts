/** A request for a port of a lab, carried there and its answer back. */
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { type Duplex, pipeline } from "node:stream";
import {
  type CookieLedger,
  type LabAddress,
  type OwnAddress,
  requestHeaders,
  responseHeaders,
} from "./headers.ts";
import type { LinkProblem } from "./pages.ts";

export interface Forwarding {
  readonly own: OwnAddress;
  readonly lab: LabAddress;
  readonly cookies: CookieLedger;
  /** A new connection to the lab's port, for this request alone. */
  readonly connection: Duplex;
}

const ANSWER_TIMEOUT_MS = 120_000;
const KEEP_ALIVE_MS = 30_000;

function ask(incoming: IncomingMessage, to: Forwarding, connection: readonly string[]) {
  return httpRequest({
    method: incoming.method ?? "GET",
    path: incoming.url ?? "/",
    headers: [...requestHeaders(incoming.rawHeaders, to), ...connection],
    setHost: false,
    createConnection: () => to.connection,
  });
}

/** Resolves once the answer is under way, or with the reason why there is none; the lab's connection ends with it. */
export function forwardRequest(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  to: Forwarding,
): Promise<LinkProblem | undefined> {
  return new Promise((resolve) => {
    const upstream = ask(incoming, to, ["Connection", "close"]);
    const end = (problem?: LinkProblem) => {
      clearTimeout(late);
      resolve(problem);
    };
    const late = setTimeout(() => {
      end("slow");
      upstream.destroy();
    }, ANSWER_TIMEOUT_MS);
    upstream.on("response", (answer) => {
      clearTimeout(late);
      try {
        const headers = responseHeaders(answer.rawHeaders, to);
        outgoing.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? "", headers);
      } catch {
        // What no server may send: a status or a header that is none.
        end("no-http");
        upstream.destroy();
        return;
      }
      end();
      pipeline(answer, outgoing, () => upstream.destroy());
    });
    upstream.on("error", () => end("no-http"));
    upstream.on("close", () => end("no-http"));
    outgoing.on("close", () => upstream.destroy());
    incoming.pipe(upstream);
  });
}

function head(status: string, headers: readonly string[]): string {
  const lines = [`HTTP/1.1 ${status}`];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    lines.push(`${headers[index]}: ${headers[index + 1]}`);
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** The same for a WebSocket, which lives on afterwards. `onData` is told whenever the browser sends something. */
export function forwardUpgrade(
  incoming: IncomingMessage,
  socket: Duplex,
  first: Buffer,
  to: Forwarding,
  onData: () => void,
): Promise<LinkProblem | undefined> {
  return new Promise((resolve) => {
    const upstream = ask(incoming, to, ["Connection", "Upgrade", "Upgrade", "websocket"]);
    const end = (problem?: LinkProblem) => {
      clearTimeout(late);
      resolve(problem);
    };
    const late = setTimeout(() => {
      end("slow");
      upstream.destroy();
    }, ANSWER_TIMEOUT_MS);
    upstream.on("upgrade", (answer, connection, rest) => {
      const headers = responseHeaders(answer.rawHeaders, to);
      end();
      socket.write(
        head("101 Switching Protocols", [
          ...headers,
          ...["Connection", "Upgrade", "Upgrade", "websocket"],
        ]),
      );
      if ("setKeepAlive" in socket && typeof socket.setKeepAlive === "function") {
        socket.setKeepAlive(true, KEEP_ALIVE_MS);
      }
      if (rest.byteLength > 0) socket.write(rest);
      if (first.byteLength > 0) connection.write(first);
      socket.on("data", onData);
      pipeline(socket, connection, socket, () => {
        socket.destroy();
        connection.destroy();
      });
    });
    upstream.on("response", (answer) => {
      const status = `${answer.statusCode} ${answer.statusMessage ?? ""}`;
      const headers = [...responseHeaders(answer.rawHeaders, to), "Connection", "close"];
      end();
      socket.write(head(status, headers));
      pipeline(answer, socket, () => socket.destroy());
    });
    upstream.on("error", () => end("no-http"));
    upstream.on("close", () => end("no-http"));
    socket.on("close", () => upstream.destroy());
    upstream.end();
  });
}

import type { ServerOptions } from "ws";
import { limits, terminalSubprotocol } from "../protocol.ts";

/**
 * For the `WebSocketServer` that terminals come over. Compression is off because it costs a zlib
 * context per connection and fragments memory (ws issue 1202); fragments count towards `maxPayload`.
 */
export const terminalWebSocketOptions = {
  maxPayload: limits.clientMessageBytes,
  perMessageDeflate: false,
  clientTracking: false,
  handleProtocols: (protocols: Set<string>): string | false =>
    protocols.has(terminalSubprotocol) ? terminalSubprotocol : false,
} as const satisfies ServerOptions;

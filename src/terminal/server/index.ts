/** Terminals on the server: everything that `src/server` needs of them. */
export { closeCodes, limits, terminalSubprotocol } from "../protocol.ts";
export type { TerminalInfo, TerminalPlace } from "./control.ts";
export { maxTitleLength } from "./control.ts";
export type { TerminalErrorCode } from "./errors.ts";
export { TerminalError } from "./errors.ts";
export type { TerminalGatewayOptions } from "./gateway.ts";
export { TerminalGateway } from "./gateway.ts";
export { messagesPerSecond } from "./rate-limit.ts";
export { terminalWebSocketOptions } from "./websocket-options.ts";

import os from "node:os";

/** Names under which requests may come; anything else is another site's name that points at us. */
export interface AllowedNames {
  readonly hosts: ReadonlySet<string>;
  readonly origins: ReadonlySet<string>;
}

const loopback = ["localhost", "127.0.0.1", "[::1]"];
export const isLoopback = (host: string): boolean =>
  ["localhost", "127.0.0.1", "::1"].includes(host);
const bracketed = (address: string) => (address.includes(":") ? `[${address}]` : address);

/**
 * `host` is what the server listens on; `publicUrl` is the address that a proxy before it has, if any.
 * Compared with the `Host` header against DNS rebinding, and with `Origin` against other sites.
 */
export function allowedNames(host: string, port: number, publicUrl?: URL): AllowedNames {
  const any = host === "0.0.0.0" || host === "::";
  const names = new Set<string>(any || isLoopback(host) ? loopback : [bracketed(host)]);
  if (any) {
    names.add(os.hostname());
    for (const addresses of Object.values(os.networkInterfaces())) {
      for (const { address } of addresses ?? []) names.add(bracketed(address));
    }
  }
  const hosts = [...names].map((name) => (port === 80 ? name : `${name}:${port}`));
  const origins = hosts.map((name) => `http://${name}`);
  return {
    hosts: new Set(publicUrl === undefined ? hosts : [...hosts, publicUrl.host]),
    origins: new Set(publicUrl === undefined ? origins : [...origins, publicUrl.origin]),
  };
}

/** Whether a request that changes something, or an upgrade, comes from one of our own pages. */
export function isOwnOrigin(
  names: AllowedNames,
  headers: { readonly origin?: string | undefined; readonly host?: string | undefined },
): boolean {
  const { origin, host } = headers;
  if (origin === undefined || host === undefined || !names.origins.has(origin)) return false;
  // Two allowed names are still two origins: a page of one has no business with the other.
  return new URL(origin).host === host.toLowerCase();
}

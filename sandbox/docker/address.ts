import Dockerode from "dockerode";
import { SandboxError } from "../errors.ts";

/**
 * A client of the engine at an address that `DOCKER_HOST` would take: `unix:///var/run/docker.sock`,
 * `tcp://127.0.0.1:2375`, `ssh://me@server`. TLS files come from the environment, as for `docker`.
 * Throws `SandboxError` `engine-unreachable` for anything else.
 */
export function engineClient(address: string): Dockerode {
  const url = URL.parse(address);
  if (url?.protocol === "unix:") return new Dockerode({ socketPath: url.pathname });
  if (url !== null && (url.protocol === "tcp:" || url.protocol === "ssh:")) {
    // The client reads address, TLS files and ssh agent together from the environment.
    process.env["DOCKER_HOST"] = address;
    return new Dockerode();
  }
  throw new SandboxError(
    "engine-unreachable",
    `"${address}" is no engine's address. Use managed, unix:///path/to/docker.sock, tcp://host:port or ssh://user@host.`,
  );
}

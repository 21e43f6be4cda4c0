import { seccompProfile } from "./seccomp.ts";

/** What Docker must allow for an engine to run in a container, as the engine's API takes it. */
export const nestedEngine = {
  CapAdd: ["ALL"],
  // A machine's own root may lack it, and runc then refuses the container.
  CapDrop: ["SYS_RESOURCE"],
  SecurityOpt: [`seccomp=${JSON.stringify(seccompProfile)}`, "apparmor=unconfined"],
  MaskedPaths: [],
  ReadonlyPaths: [],
  Tmpfs: { "/run": "exec" },
  // A wire comes from the sidecar, where one is needed.
  NetworkMode: "none",
  // What a lab writes to its console would else fill the machine's disk.
  LogConfig: { Type: "local", Config: { "max-size": "1m", "max-file": "2" } },
};

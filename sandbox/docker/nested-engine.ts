/** What Docker must allow for an engine to run in a container, as the engine's API takes it. */
export const nestedEngine = {
  Volumes: { "/var/lib/docker": {}, "/var/lib/containerd": {} },
  HostConfig: {
    CapAdd: ["ALL"],
    // A machine's own root may lack it, and runc then refuses the container.
    CapDrop: ["SYS_RESOURCE"],
    SecurityOpt: ["seccomp=unconfined", "apparmor=unconfined"],
    MaskedPaths: [],
    ReadonlyPaths: [],
    Tmpfs: { "/run": "exec" },
    // A wire comes from the sidecar, where one is needed.
    NetworkMode: "none",
  },
};

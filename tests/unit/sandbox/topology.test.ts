import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { setupScript } from "../../../sandbox/topologies/files.ts";
import { topologies } from "../../../sandbox/topologies/index.ts";
import { topology } from "../../../sandbox/topologies/schema.ts";

const lan = { name: "lan", gateway: "10.77.0.1/24" };
const on = (address: string, network = "lan") => [{ network, address }];

test("there is a lab for each lesson", () => {
  expect(Object.keys(topologies)).toEqual([
    ...["namespaces", "veth", "bridge", "drivers", "iptables", "overlay", "compose", "netbox"],
  ]);
});

test("a lab takes what most need, and what it says where it needs more", () => {
  const { iptables, netbox } = topologies;
  expect(iptables?.limits).toEqual({ memoryBytes: 2 ** 31, processors: 1.5 });
  expect(netbox?.limits.memoryBytes).toBeGreaterThan(2 ** 32);
  // A start that takes more than the limit would never end well.
  for (const { startMemoryBytes, limits, hosts } of Object.values(topologies)) {
    expect(startMemoryBytes).toBeLessThanOrEqual(limits.memoryBytes * hosts.length);
  }
});

test("files of a lab are written as they are", () => {
  const folder = mkdtempSync(join(tmpdir(), "patchbay-files-"));
  try {
    mkdirSync(join(folder, "from", "env"), { recursive: true });
    const text = "A='$HOME `x`'\n\\n \"$$\"\n";
    writeFileSync(join(folder, "from", "env", "a.env"), text);
    const files = [{ folder: pathToFileURL(`${folder}/from/`).href, target: join(folder, "to") }];
    const script = setupScript(
      topology({
        ...{ name: "files", networks: [lan], files },
        hosts: [{ name: "host1", interfaces: on("10.77.0.11") }],
      }),
    );
    execFileSync("sh", ["-e"], { input: script });
    expect(readFileSync(join(folder, "to", "env", "a.env"), "utf8")).toBe(text);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each([
  ["no host", { hosts: [] }, /give at least one host/],
  [
    "a name too long for an interface",
    { hosts: [{ name: "averylonghost", interfaces: on("10.77.0.11") }] },
    /1 to 10 of a-z and 0-9/,
  ],
  [
    "a name twice",
    { hosts: [1, 2].map((each) => ({ name: "host1", interfaces: on(`10.77.0.1${each}`) })) },
    /"host1" is taken: take another name/,
  ],
  [
    "an address twice",
    { neighbours: [{ name: "n", interfaces: on("10.77.0.11") }] },
    /10\.77\.0\.11 is taken/,
  ],
  [
    "the gateway's address",
    { hosts: [{ name: "host1", interfaces: on("10.77.0.1") }] },
    /10\.77\.0\.1 is taken/,
  ],
  [
    "an address of another network",
    { hosts: [{ name: "host1", interfaces: on("10.78.0.11") }] },
    /not in 10\.77\.0\.1\/24: take an address of network "lan"/,
  ],
  [
    "a network that is not there",
    { hosts: [{ name: "host1", interfaces: on("10.77.0.11", "wan") }] },
    /no network "wan": take one of lan/,
  ],
  [
    "a gateway without prefix",
    { networks: [{ name: "lan", gateway: "10.77.0.1" }] },
    /with its prefix, like 10\.77\.0\.1\/24/,
  ],
  ["an unknown key", { host: [] }, /host/],
])("refuses %s, and says the fix", (_what, change, message) => {
  const good = {
    name: "lab",
    networks: [lan],
    hosts: [{ name: "host1", interfaces: on("10.77.0.11") }],
  };
  expect(topology(good).networks[0]?.mtu).toBe(1500);
  expect(() => topology({ ...good, ...change })).toThrow(message);
});

import { expect, test } from "vitest";
import { topologies } from "../../../sandbox/topologies/index.ts";
import { topology } from "../../../sandbox/topologies/schema.ts";

const lan = { name: "lan", gateway: "10.77.0.1/24" };
const on = (address: string, network = "lan") => [{ network, address }];

test("there is a lab for each lesson", () => {
  expect(Object.keys(topologies)).toEqual([
    ...["namespaces", "veth", "bridge", "drivers", "iptables", "overlay", "compose", "netbox"],
  ]);
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

import { isIPv4 } from "node:net";
import { z } from "zod";

const MIB = 2 ** 20;

const toNumber = (address: string) =>
  address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);

const isCidr = (text: string) => {
  const [address = "", bits = "", ...rest] = text.split("/");
  return isIPv4(address) && /^\d+$/.test(bits) && Number(bits) <= 30 && rest.length === 0;
};

/** Whether an address lies in a network that is written like `10.77.0.1/24`. */
const contains = (cidr: string, address: string) => {
  const [base = "", bits = ""] = cidr.split("/");
  const size = 2 ** (32 - Number(bits));
  return Math.floor(toNumber(base) / size) === Math.floor(toNumber(address) / size);
};

// An interface name has at most 15 characters, and a machine's port is called `<name>-eth0`.
const machineName = z
  .string()
  .regex(
    /^[a-z][a-z0-9]{0,9}$/,
    "use 1 to 10 of a-z and 0-9, starting with a letter: the name becomes a host name and part of an interface's",
  );

const network = z.strictObject({
  name: machineName,
  /** The gateway's address with the length of the prefix: `10.77.0.1/24`. */
  gateway: z
    .string()
    .refine(isCidr, "write the gateway's address with its prefix, like 10.77.0.1/24"),
  /** Of every interface in it, bytes. */
  mtu: z.int().min(1280).max(9000).default(1500),
});

const networkInterface = z.strictObject({
  network: z.string(),
  /** Without the prefix, which is the network's: `10.77.0.11`. */
  address: z.string().refine(isIPv4, "write an IPv4 address without prefix, like 10.77.0.11"),
});

const machine = z.strictObject({
  name: machineName,
  /** eth0, eth1 … in this order; the default route leads through the first one. */
  interfaces: z.array(networkInterface).min(1, "give each machine at least one interface"),
});

const limits = z.strictObject({
  /** Of each host, bytes; there is no swap. */
  memoryBytes: z
    .int()
    .min(512 * MIB, "give a host at least 512 MiB: its engine alone takes a part of it")
    .default(2048 * MIB),
  /** Processors of each host; never more than the machine has. */
  processors: z.number().min(0.1).max(64).default(1.5),
});

/** Which machines a lab has and how they are linked. Data only; an engine builds what it says. */
export const topologySchema = z
  .strictObject({
    /** Also the lesson's name. */
    name: z.string().regex(/^[a-z][a-z0-9-]{0,20}$/, "use a-z, 0-9 and -, starting with a letter"),
    networks: z.array(network).min(1, "give at least one network"),
    /** Docker hosts, as the student's prompts show them. */
    hosts: z.array(machine).min(1, "give at least one host"),
    /** Machines on the networks that are no Docker hosts. */
    neighbours: z.array(machine).default([]),
    /** Text files that lie on the first host when the lab is handed out; they are read when one is made. */
    files: z
      .array(
        z.strictObject({
          /** Of the machine that serves, as a `file:` URL. */
          folder: z.url({ protocol: /^file$/, error: "name the folder by a file: URL" }),
          /** Where its content lies on the lab host. */
          target: z.string().startsWith("/", "write an absolute path of the lab host"),
        }),
      )
      .default([]),
    /** Shell script that root runs on the first host before the lab is handed out, after the files are there. */
    setup: z.string().default(""),
    limits: limits.prefault({}),
    /**
     * Memory that the whole lab takes when it is handed out, bytes. A server lets a lab in where its machine has that
     * much left.
     */
    startMemoryBytes: z
      .int()
      .min(64 * MIB, "say how much the lab takes at its start, at least 64 MiB")
      .default(512 * MIB),
  })
  .check(({ value, issues }) => {
    const refuse = (path: (string | number)[], message: string) =>
      issues.push({ code: "custom", path, message, input: value });
    const networks = new Map(value.networks.map((each) => [each.name, each]));
    if (networks.size < value.networks.length)
      refuse(["networks"], "give each network its own name");
    const names = new Set<string>();
    const addresses = new Set(
      value.networks.map(({ name, gateway }) => `${name} ${gateway.split("/")[0]}`),
    );
    for (const kind of ["hosts", "neighbours"] as const) {
      for (const [index, { name, interfaces }] of value[kind].entries()) {
        if (names.has(name)) refuse([kind, index, "name"], `"${name}" is taken: take another name`);
        names.add(name);
        for (const [at, { network: of, address }] of interfaces.entries()) {
          const path = [kind, index, "interfaces", at];
          const known = networks.get(of);
          if (known === undefined) {
            const all = [...networks.keys()].join(", ");
            refuse([...path, "network"], `there is no network "${of}": take one of ${all}`);
            continue;
          }
          if (!contains(known.gateway, address)) {
            const message = `${address} is not in ${known.gateway}: take an address of network "${of}"`;
            refuse([...path, "address"], message);
          }
          if (addresses.has(`${of} ${address}`)) {
            refuse([...path, "address"], `${address} is taken: take another address`);
          }
          addresses.add(`${of} ${address}`);
        }
      }
    }
  });

export type Topology = z.output<typeof topologySchema>;
export type Machine = Topology["hosts"][number];

/** Throws an error with every mistake, where it is and how to mend it. */
export function topology(data: z.input<typeof topologySchema>): Topology {
  const parsed = topologySchema.safeParse(data);
  if (parsed.success) return parsed.data;
  throw new Error(`The topology "${data.name}" is wrong:\n${z.prettifyError(parsed.error)}`);
}

import { type Check, check, fail, pass } from "../../core/exercise.ts";
import { allAddresses, firstHost, linkNamed, list } from "../../facts/model.ts";

/** A container with an interface of its own on the underlay. */
export interface OnUnderlay {
  readonly name: string;
  readonly pid: number;
  readonly address: string;
  readonly mac: string;
  readonly parentMac: string;
  readonly published: boolean;
}

const NEIGHBOUR = "neighbour1";

/** A check that some container has an interface of that kind on the host's eth0, with an address of the underlay. */
export const onUnderlay = (kind: "macvlan" | "ipvlan"): Check<readonly OnUnderlay[]> =>
  check<readonly OnUnderlay[]>({
    id: "on-the-underlay",
    title: `A container has a ${kind} interface on eth0, with an address of its own of 10.77.0.0/24`,
    async run({ facts }) {
      const { containers, namespace } = firstHost(await facts());
      const parent = linkNamed(namespace, "eth0");
      // The address is to be its own.
      const taken = new Set(allAddresses(namespace).map(({ address }) => address));
      const shared: string[] = [];
      const found = containers.flatMap((container): OnUnderlay[] => {
        const inside = container.namespace;
        if (!container.running || container.paused) return [];
        if (inside === null || inside.inode === namespace.inode) return [];
        const link = inside.links.find(
          (each) =>
            each.kind === kind &&
            each.link?.namespace === namespace.inode &&
            each.link.index === parent?.index,
        );
        const held = allAddresses(inside).filter(
          (each) => each.interface === link?.name && each.address.startsWith("10.77.0."),
        );
        const address = held.find((each) => !taken.has(each.address));
        if (address === undefined) {
          shared.push(...held.map((each) => `${container.name} has ${each.address}`));
        }
        if (link === undefined || address === undefined) return [];
        return [
          {
            name: container.name,
            pid: container.pid,
            address: address.address,
            mac: link.mac ?? "",
            parentMac: parent?.mac ?? "",
            published: container.published.length > 0,
          },
        ];
      });
      if (found.length > 0)
        return pass(found, list(found.map(({ name, address }) => `${name} ${address}`)));
      if (shared.length > 0) {
        return fail("an address that nobody else has", `${list(shared)}, and so has the host`);
      }
      const told = containers.map(
        ({ name, networks }) => `${name}: ${list(Object.keys(networks))}`,
      );
      const hint = `docker network create -d ${kind} -o parent=eth0 --subnet 10.77.0.0/24 --gateway 10.77.0.1 …`;
      return fail(`a ${kind} interface whose parent is eth0`, `containers: ${list(told)}`, hint);
    },
  });

/** A check that the neighbour on the underlay reaches such a container, which publishes no port. */
export const neighbourReaches = (members: Check<readonly OnUnderlay[]>): Check<OnUnderlay> =>
  check<OnUnderlay, { members: typeof members }>({
    id: "neighbour-reaches-it",
    title: `${NEIGHBOUR} reaches it at its own address, without a published port`,
    needs: { members },
    async run({ lab, signal, members: found }) {
      const tried: string[] = [];
      for (const member of found) {
        const ping = await lab
          .host(NEIGHBOUR)
          .hand()
          .ping(
            {
              from: { kind: "host" },
              target: { kind: "pid", pid: member.pid },
              targetHost: lab.host().name,
              address: member.address,
              count: 3,
              intervalMs: 50,
            },
            { signal },
          );
        const { arrived, received } = ping;
        if (arrived === 3 && received === 3 && !member.published)
          return pass(member, member.address);
        const how = member.published
          ? "publishes ports"
          : `${arrived} of 3 requests arrived, ${received} came back`;
        tried.push(`${member.name} (${member.address}): ${how}`);
      }
      return fail(`each echo request of ${NEIGHBOUR} arrives and is answered`, tried.join("; "));
    },
  });

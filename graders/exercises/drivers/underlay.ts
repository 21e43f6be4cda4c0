import { type Check, check, fail, pass } from "../../core/exercise.ts";
import { en, joined, ru, type Text, words } from "../../core/text.ts";
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
    title: {
      en: `A container has a ${kind} interface on eth0, with an address of its own of 10.77.0.0/24`,
      ru: `У контейнера есть интерфейс ${kind} на eth0 с собственным адресом из 10.77.0.0/24`,
    },
    async run({ facts }) {
      const { containers, namespace } = firstHost(await facts());
      const parent = linkNamed(namespace, "eth0");
      // The address is to be its own.
      const taken = new Set(allAddresses(namespace).map(({ address }) => address));
      const shared: Text[] = [];
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
          shared.push(
            ...held.map((each) => ({
              en: `${container.name} has ${each.address}`,
              ru: `у ${container.name} адрес ${each.address}`,
            })),
          );
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
        return fail(
          { en: "an address that nobody else has", ru: "адрес, которого нет ни у кого другого" },
          {
            en: en`${list(shared)}, and so has the host`,
            ru: ru`${list(shared)}, и он же у хоста`,
          },
        );
      }
      const told = containers.map(
        ({ name, networks }) => words`${name}: ${list(Object.keys(networks))}`,
      );
      const hint = `docker network create -d ${kind} -o parent=eth0 --subnet 10.77.0.0/24 --gateway 10.77.0.1 …`;
      return fail(
        {
          en: `a ${kind} interface whose parent is eth0`,
          ru: `интерфейс ${kind}, родитель которого — eth0`,
        },
        { en: en`containers: ${list(told)}`, ru: ru`контейнеры: ${list(told)}` },
        hint,
      );
    },
  });

/** A check that the neighbour on the underlay reaches such a container, which publishes no port. */
export const neighbourReaches = (members: Check<readonly OnUnderlay[]>): Check<OnUnderlay> =>
  check<OnUnderlay, { members: typeof members }>({
    id: "neighbour-reaches-it",
    title: {
      en: `${NEIGHBOUR} reaches it at its own address, without a published port`,
      ru: `${NEIGHBOUR} дотягивается до него по его собственному адресу, без опубликованных портов`,
    },
    needs: { members },
    async run({ lab, signal, members: found }) {
      const tried: Text[] = [];
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
          ? { en: "publishes ports", ru: "публикует порты" }
          : {
              en: `${arrived} of 3 requests arrived, ${received} came back`,
              ru: `дошло ${arrived} из 3 запросов, вернулось ответов ${received}`,
            };
        tried.push(words`${member.name} (${member.address}): ${how}`);
      }
      return fail(
        {
          en: `each echo request of ${NEIGHBOUR} arrives and is answered`,
          ru: `каждый эхо-запрос от ${NEIGHBOUR} доходит и получает ответ`,
        },
        joined(tried, "; "),
      );
    },
  });

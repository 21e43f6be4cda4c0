import { reachability, type Target } from "../../checks/reachability.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, ru, type Text } from "../../core/text.ts";
import {
  allAddresses,
  cablesOf,
  firstHost,
  isUp,
  linkNamed,
  list,
  type NamespaceModel,
} from "../../facts/model.ts";

interface Both {
  readonly red: NamespaceModel;
  readonly blue: NamespaceModel;
}

const exist = check<Both>({
  id: "namespaces-exist",
  title: {
    en: "Network namespaces red and blue exist",
    ru: "Есть сетевые пространства имён red и blue",
  },
  async run({ facts }) {
    const { named } = firstHost(await facts());
    const expected = {
      en: "ip netns list shows red and blue",
      ru: "ip netns list показывает red и blue",
    };
    const { red, blue } = named;
    if (red && blue) return pass({ red, blue });
    const missing = ["red", "blue"].filter((name) => !(name in named));
    if (missing.length > 0) {
      const add = missing.map((name) => `ip netns add ${name}`).join("; ");
      return fail(
        expected,
        {
          en: en`it shows: ${list(Object.keys(named))}`,
          ru: ru`показывает: ${list(Object.keys(named))}`,
        },
        { en: `Make what is missing: ${add}`, ru: `Создайте недостающее: ${add}` },
      );
    }
    const empty = ["red", "blue"].filter((name) => !named[name]);
    return fail(expected, {
      en: `/run/netns/${empty[0]} is no network namespace`,
      ru: `/run/netns/${empty[0]} — не сетевое пространство имён`,
    });
  },
});

const apart = check({
  id: "two-namespaces",
  title: {
    en: "They are two namespaces, and neither is the host's",
    ru: "Это два разных пространства имён, и ни одно из них не пространство хоста",
  },
  needs: { both: exist },
  async run({ facts, both: { red, blue } }) {
    const host = firstHost(await facts()).namespace;
    const expected = {
      en: "red, blue and the host have a network namespace each",
      ru: "у red, у blue и у хоста своё сетевое пространство имён",
    };
    if (red.inode === blue.inode) {
      return fail(expected, {
        en: "red and blue are one and the same",
        ru: "red и blue — одно и то же",
      });
    }
    const shared =
      red.inode === host.inode ? "red" : blue.inode === host.inode ? "blue" : undefined;
    if (shared !== undefined) {
      return fail(expected, {
        en: `${shared} is the host's own namespace`,
        ru: `${shared} — пространство имён самого хоста`,
      });
    }
    return pass();
  },
});

const loopback = check({
  id: "loopback-up",
  title: { en: "The loopback interface is up in both", ru: "В обоих включён интерфейс loopback" },
  needs: { both: exist },
  run({ both }) {
    const down = (["red", "blue"] as const).filter((name) => {
      const lo = linkNamed(both[name], "lo");
      return lo === undefined || !isUp(lo);
    });
    if (down.length === 0) return pass();
    const up = down.map((name) => `ip -n ${name} link set lo up`).join("; ");
    return fail(
      { en: "lo is UP in red and blue", ru: "lo в red и blue в состоянии UP" },
      { en: en`lo is down in: ${list(down)}`, ru: ru`lo выключен в: ${list(down)}` },
      { en: `Bring it up: ${up}`, ru: `Включите его: ${up}` },
    );
  },
});

const names = ["red", "blue"] as const;
const inside = (name: string, address: string): Target => ({
  label: name,
  at: { kind: "named", name },
  address,
});

const pingsItself = reachability({
  id: "pings-itself",
  title: { en: "Each pings itself", ru: "Каждое пингует само себя" },
  needs: { both: exist, loopback },
  ways: () =>
    names.map((name) => {
      const itself = inside(name, "127.0.0.1");
      return { from: itself, to: itself, over: "ping", reaches: true };
    }),
});

/** In words, a cable or a bridge by which frames of red get to blue, whatever addresses they have. */
function linkBetween({ red, blue }: Both, host: NamespaceModel): Text | undefined {
  const direct = cablesOf(red, [blue]).find(({ near, peer }) => isUp(near) && isUp(peer));
  if (direct !== undefined) {
    return {
      en: `a cable leads from ${direct.inside} in red to ${direct.peer.name} in blue`,
      ru: `кабель ведёт от ${direct.inside} в red к ${direct.peer.name} в blue`,
    };
  }
  const bridges = (space: NamespaceModel) =>
    cablesOf(space, [host]).flatMap(({ near, peer }) =>
      isUp(near) && isUp(peer) && peer.master !== null ? [peer.master] : [],
    );
  const reached = bridges(blue);
  const common = bridges(red).find((bridge) => reached.includes(bridge));
  return common === undefined
    ? undefined
    : { en: `both are plugged into ${common}`, ru: `оба подключены к ${common}` };
}

const uncabled = check({
  id: "no-cable-between",
  title: { en: "No cable leads from one to the other", ru: "Между ними нет кабеля" },
  needs: { both: exist, apart },
  async run({ facts, both }) {
    const link = linkBetween(both, firstHost(await facts()).namespace);
    if (link === undefined) return pass();
    return fail(
      {
        en: "nothing that is up connects red and blue",
        ru: "red и blue не соединяет ничто включённое",
      },
      link,
      { en: "Take it away: ip link del …", ru: "Уберите его: ip link del …" },
    );
  },
});

const unseen = reachability({
  id: "do-not-see-each-other",
  title: { en: "They do not see each other", ru: "Они не видят друг друга" },
  needs: { both: exist, apart },
  hint: {
    en: "Two fresh namespaces have no cable between them: take the one that is there away.",
    ru: "Между двумя новыми пространствами имён кабеля нет: уберите тот, что появился.",
  },
  ways: ({ both }) =>
    names.flatMap((name) => {
      const other = name === "red" ? "blue" : "red";
      return allAddresses(both[other])
        .filter((each) => each.interface !== "lo")
        .map(({ address }) => ({
          from: { label: name, at: { kind: "named", name } },
          to: { ...inside(other, address), label: `${other} ${address}` },
          over: "ping",
          reaches: false,
        }));
    }),
});

const both = "ip netns add red; ip netns add blue\n";
const up = "ip -n red link set lo up; ip -n blue link set lo up\n";

export const createNetns: Exercise = {
  id: "namespaces/create-netns",
  title: { en: "Two network namespaces by hand", ru: "Два сетевых пространства имён вручную" },
  lesson: "namespaces",
  lab: "namespaces",
  requires: [],
  checks: [exist, apart, loopback, pingsItself, uncabled, unseen],
  solutions: [
    { name: "ip-netns", title: "With ip netns", script: both + up },
    {
      name: "unshare",
      title: "With unshare, which binds the namespace to a file",
      script: `mkdir -p /run/netns; touch /run/netns/red /run/netns/blue
        for name in red blue; do unshare --net=/run/netns/$name ip link set lo up; done`,
    },
    {
      name: "each-to-the-host",
      title: "Each has a cable to the host, which leads nowhere else",
      script: `${both}${up}for name in red blue; do ip link add h-$name type veth peer name eth0 netns $name; ip -n $name link set eth0 up; done`,
    },
    {
      name: "with-addresses",
      title: "With an address on loopback, which nobody else reaches",
      script: `${both}${up}ip -n red addr add 10.10.0.1/32 dev lo`,
    },
  ],
  wrongAnswers: [
    {
      name: "only-red",
      title: "One is missing",
      rejectedBy: "namespaces-exist",
      script: "ip netns add red",
    },
    {
      name: "loopback-down",
      title: "As ip netns add leaves them",
      rejectedBy: "loopback-up",
      script: both,
    },
    {
      name: "one-loopback",
      title: "Loopback is up in one of them only",
      rejectedBy: "loopback-up",
      script: `${both}ip -n red link set lo up`,
    },
    {
      name: "same-namespace",
      title: "Two names of one namespace",
      rejectedBy: "two-namespaces",
      script: "ip netns add red; ip -n red link set lo up; ln -s /run/netns/red /run/netns/blue",
    },
    {
      name: "host-namespace",
      title: "The host's own namespace under the name of red",
      rejectedBy: "two-namespaces",
      script: `ip netns add blue; ip -n blue link set lo up; touch /run/netns/red
        mount --bind /proc/self/ns/net /run/netns/red`,
    },
    {
      name: "plain-files",
      title: "Files of those names",
      rejectedBy: "namespaces-exist",
      script: "mkdir -p /run/netns; touch /run/netns/red /run/netns/blue",
    },
    {
      name: "connected-without-addresses",
      title: "A veth pair between them that is up, and has no IPv4 address",
      rejectedBy: "no-cable-between",
      script: `${both}${up}ip link add to-blue netns red type veth peer name to-red netns blue
        ip -n red link set to-blue up; ip -n blue link set to-red up`,
    },
    {
      name: "one-bridge",
      title: "Both are plugged into one bridge, without addresses",
      rejectedBy: "no-cable-between",
      script: `${both}${up}ip link add both type bridge; ip link set both up
        for name in red blue; do ip link add h-$name type veth peer name eth0 netns $name
          ip link set h-$name master both up; ip -n $name link set eth0 up; done`,
    },
    {
      name: "connected",
      title: "A veth pair between them",
      rejectedBy: "do-not-see-each-other",
      script: `${both}${up}ip link add to-blue netns red type veth peer name to-red netns blue
        ip -n red addr add 10.10.0.1/24 dev to-blue; ip -n red link set to-blue up
        ip -n blue addr add 10.10.0.2/24 dev to-red; ip -n blue link set to-red up`,
    },
  ],
};

import { allWays, reachability } from "../../checks/reachability.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, joined, ru, words } from "../../core/text.ts";
import {
  allAddresses,
  cablesOf,
  firstHost,
  isUp,
  list,
  type NamespaceModel,
} from "../../facts/model.ts";

const wanted = { red: "10.10.0.1", blue: "10.10.0.2" } as const;
const names = ["red", "blue"] as const;
type Both = Readonly<Record<(typeof names)[number], NamespaceModel>>;

const exist = check<Both>({
  id: "namespaces-exist",
  title: {
    en: "Network namespaces red and blue exist",
    ru: "Есть сетевые пространства имён red и blue",
  },
  async run({ facts }) {
    const { named, namespace } = firstHost(await facts());
    const expected = {
      en: "two network namespaces, red and blue, beside the host's",
      ru: "два сетевых пространства имён, red и blue, помимо пространства хоста",
    };
    const { red, blue } = named;
    if (!red || !blue) {
      const missing = names.filter((name) => !named[name]);
      const add = missing.map((name) => `ip netns add ${name}`).join("; ");
      return fail(
        expected,
        { en: en`missing: ${list(missing)}`, ru: ru`не хватает: ${list(missing)}` },
        { en: `Make what is missing: ${add}`, ru: `Создайте недостающее: ${add}` },
      );
    }
    if (new Set([red.inode, blue.inode, namespace.inode]).size < 3) {
      return fail(expected, {
        en: "some of them are one and the same",
        ru: "какие-то из них — одно и то же пространство",
      });
    }
    return pass({ red, blue });
  },
});

/** Names of the interfaces that have the address; an address may be on several. */
const addresses = check<
  Readonly<Record<(typeof names)[number], readonly string[]>>,
  { both: typeof exist }
>({
  id: "addresses",
  title: {
    en: "red has 10.10.0.1/24 and blue 10.10.0.2/24",
    ru: "У red адрес 10.10.0.1/24, у blue — 10.10.0.2/24",
  },
  needs: { both: exist },
  run({ both }) {
    const holders = (name: (typeof names)[number]) =>
      allAddresses(both[name])
        .filter(({ address, prefix }) => address === wanted[name] && prefix === 24)
        .map((each) => each.interface);
    const found = { red: holders("red"), blue: holders("blue") };
    const missing = names.filter((name) => found[name].length === 0);
    if (missing.length === 0) return pass(found);
    const actual = names.map((name) => {
      const held = allAddresses(both[name]).filter((each) => each.interface !== "lo");
      return words`${name}: ${list(held.map(({ address, prefix }) => `${address}/${prefix}`))}`;
    });
    const add = missing.map((name) => `ip -n ${name} addr add ${wanted[name]}/24 dev …`).join("; ");
    return fail(
      {
        en: "10.10.0.1/24 in red, 10.10.0.2/24 in blue",
        ru: "10.10.0.1/24 в red, 10.10.0.2/24 в blue",
      },
      joined(actual, "; "),
      { en: `Give it: ${add}`, ru: `Назначьте: ${add}` },
    );
  },
});

const onePair = check({
  id: "one-veth-pair",
  title: {
    en: "The two interfaces are the ends of one veth pair",
    ru: "Эти два интерфейса — концы одной пары veth",
  },
  needs: { both: exist, addresses },
  run({ both: { red, blue }, addresses: { red: insides, blue: others } }) {
    const cables = cablesOf(red, [blue]).filter((each) => insides.includes(each.inside));
    const cable = cables.find(({ peer }) => others.includes(peer.name)) ?? cables[0];
    const [inside, other] = [list(insides), list(others)];
    const expected = {
      en: en`${inside} in red and ${other} in blue are two ends of one cable`,
      ru: ru`${inside} в red и ${other} в blue — два конца одного кабеля`,
    };
    if (cable === undefined) {
      const hint = {
        en: "A pair is made in one go: ip link add … type veth peer name …; then each end moves into its namespace.",
        ru: "Пару создают одной командой: ip link add … type veth peer name …; потом каждый конец переезжает в своё пространство имён.",
      };
      const actual = {
        en: en`the far end of ${inside} is not in blue`,
        ru: ru`другой конец ${inside} не в blue`,
      };
      return fail(expected, actual, hint);
    }
    if (!others.includes(cable.peer.name)) {
      return fail(expected, {
        en: en`the far end of ${cable.inside} is ${cable.peer.name}, and the address is on ${other}`,
        ru: ru`другой конец ${cable.inside} — ${cable.peer.name}, а адрес на ${other}`,
      });
    }
    const ends = [
      { space: "red", link: cable.near },
      { space: "blue", link: cable.peer },
    ];
    const plugged = ends.find(({ link }) => link.master !== null);
    if (plugged !== undefined) {
      const { space, link } = plugged;
      const actual = {
        en: `${link.name} in ${space} is a port of ${link.master}`,
        ru: `${link.name} в ${space} — порт моста ${link.master}`,
      };
      return fail({ en: "no bridge is in between", ru: "моста между ними нет" }, actual);
    }
    const down = ends.filter(({ link }) => !isUp(link));
    if (down.length === 0) return pass();
    const up = down.map(({ space, link }) => `ip -n ${space} link set ${link.name} up`).join("; ");
    const off = list(down.map(({ link }) => link.name));
    return fail(
      { en: "both ends are up", ru: "оба конца включены" },
      { en: en`down: ${off}`, ru: ru`выключено: ${off}` },
      { en: `Bring them up: ${up}`, ru: `Включите: ${up}` },
    );
  },
});

const reach = reachability({
  id: "ping-each-other",
  title: { en: "red and blue ping each other", ru: "red и blue пингуют друг друга" },
  needs: { both: exist, addresses, onePair },
  hint: {
    en: "Look at ip -n red route, and at rules that drop: nft list ruleset in each namespace.",
    ru: "Посмотрите ip -n red route и нет ли правил, которые отбрасывают пакеты: nft list ruleset в каждом пространстве имён.",
  },
  ways: () =>
    allWays(
      names.map((name) => ({ label: name, at: { kind: "named", name }, address: wanted[name] })),
    ),
});

const both = "ip netns add red; ip netns add blue\n";
const pair = "ip link add to-blue netns red type veth peer name to-red netns blue\n";
const address =
  "ip -n red addr add 10.10.0.1/24 dev to-blue; ip -n blue addr add 10.10.0.2/24 dev to-red\n";
const up = "ip -n red link set to-blue up; ip -n blue link set to-red up\n";

export const connectTwoNamespaces: Exercise = {
  id: "veth/connect-two-namespaces",
  title: { en: "A cable between two namespaces", ru: "Кабель между двумя пространствами имён" },
  lesson: "veth",
  lab: "veth",
  requires: [],
  checks: [exist, addresses, onePair, reach],
  solutions: [
    {
      name: "in-place",
      title: "Both ends made where they belong",
      script: both + pair + address + up,
    },
    {
      name: "moved",
      title: "A pair made on the host, and moved",
      script: `${both}ip link add veth-red type veth peer name veth-blue
        ip link set veth-red netns red; ip link set veth-blue netns blue
        ip netns exec red ip addr add 10.10.0.1/24 dev veth-red; ip netns exec red ip link set veth-red up
        ip netns exec blue ip addr add 10.10.0.2/24 dev veth-blue; ip netns exec blue ip link set veth-blue up`,
    },
    {
      name: "address-on-loopback-too",
      title: "red's address was given to its loopback first, and stayed there",
      script: `${both}ip -n red addr add 10.10.0.1/24 dev lo\n${pair}${address}${up}`,
    },
    {
      name: "renamed",
      title: "Both ends are called eth0",
      script: `${both}ip link add eth0 netns red type veth peer name eth0 netns blue
        ip -n red addr add 10.10.0.1/24 dev eth0; ip -n red link set eth0 up
        ip -n blue addr add 10.10.0.2/24 dev eth0; ip -n blue link set eth0 up`,
    },
  ],
  wrongAnswers: [
    {
      name: "bridge-inside",
      title: "red's end is a port of a bridge in red, which has the address",
      rejectedBy: "one-veth-pair",
      script: `${both}${pair}${up}ip -n red link add br0 type bridge; ip -n red link set to-blue master br0
        ip -n red link set br0 up; ip -n red addr add 10.10.0.1/24 dev br0; ip -n blue addr add 10.10.0.2/24 dev to-red`,
    },
    { name: "no-cable", title: "Namespaces alone", rejectedBy: "addresses", script: both },
    {
      name: "no-address",
      title: "A cable without addresses",
      rejectedBy: "addresses",
      script: both + pair + up,
    },
    {
      name: "one-end-down",
      title: "One end is down",
      rejectedBy: "one-veth-pair",
      script: `${both}${pair}${address}ip -n red link set to-blue up`,
    },
    {
      name: "wrong-prefix",
      title: "Addresses of single hosts",
      rejectedBy: "addresses",
      script: `${both}${pair}${up}ip -n red addr add 10.10.0.1/32 dev to-blue; ip -n blue addr add 10.10.0.2/32 dev to-red`,
    },
    {
      name: "by-bridge",
      title: "Over a bridge on the host",
      rejectedBy: "one-veth-pair",
      script: `${both}ip link add lab0 type bridge; ip link set lab0 up
        for n in red:1 blue:2; do name=\${n%:*}
          ip link add h-$name type veth peer name eth0 netns $name; ip link set h-$name master lab0 up
          ip -n $name addr add 10.10.0.\${n#*:}/24 dev eth0; ip -n $name link set eth0 up; done`,
    },
    {
      name: "swapped",
      title: "The addresses the other way round",
      rejectedBy: "addresses",
      script: `${both}${pair}${up}ip -n red addr add 10.10.0.2/24 dev to-blue; ip -n blue addr add 10.10.0.1/24 dev to-red`,
    },
    {
      name: "filtered",
      title: "A rule in blue drops what arrives",
      rejectedBy: "ping-each-other",
      script: `${both}${pair}${address}${up}ip netns exec blue iptables -A INPUT -p icmp -j DROP`,
    },
    {
      name: "on-loopback",
      title: "Addresses on loopback, and the host between them",
      rejectedBy: "one-veth-pair",
      script: `${both}ip -n red link set lo up; ip -n blue link set lo up
        ip -n red addr add 10.10.0.1/24 dev lo; ip -n blue addr add 10.10.0.2/24 dev lo`,
    },
  ],
};

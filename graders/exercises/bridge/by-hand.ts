import { allWays, reachability, type Target } from "../../checks/reachability.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, ru } from "../../core/text.ts";
import {
  addressesOf,
  allAddresses,
  bridgePorts,
  firstHost,
  isUp,
  linkNamed,
  list,
  type NamespaceModel,
} from "../../facts/model.ts";

const BRIDGE = "lab0";
const GATEWAY = "10.20.0.1";
const inside = (address: string) => address.startsWith("10.20.0.");

const bridge = check({
  id: "bridge",
  title: {
    en: "The host has a bridge lab0 with 10.20.0.1/24, and it is up",
    ru: "На хосте есть мост lab0 с адресом 10.20.0.1/24, и он включён",
  },
  async run({ facts }) {
    const { namespace } = firstHost(await facts());
    const expected = {
      en: "bridge lab0, up, with 10.20.0.1/24",
      ru: "мост lab0 с адресом 10.20.0.1/24, включённый",
    };
    const link = linkNamed(namespace, BRIDGE);
    if (link === undefined) {
      return fail(
        expected,
        { en: "there is no lab0", ru: "lab0 нет" },
        {
          en: "Make it: ip link add lab0 type bridge",
          ru: "Создайте его: ip link add lab0 type bridge",
        },
      );
    }
    if (link.kind !== "bridge") {
      return fail(expected, {
        en: `lab0 is a ${link.kind || "plain"} interface`,
        ru: link.kind ? `lab0 — интерфейс вида ${link.kind}` : "lab0 — обычный интерфейс",
      });
    }
    const held = allAddresses(namespace).filter((each) => each.interface === BRIDGE);
    if (!held.some(({ address, prefix }) => address === GATEWAY && prefix === 24)) {
      const actual = list(held.map(({ address, prefix }) => `${address}/${prefix}`));
      return fail(
        expected,
        { en: en`lab0 has: ${actual}`, ru: ru`адреса lab0: ${actual}` },
        {
          en: "Give it: ip addr add 10.20.0.1/24 dev lab0",
          ru: "Назначьте: ip addr add 10.20.0.1/24 dev lab0",
        },
      );
    }
    if (!isUp(link)) {
      return fail(
        expected,
        { en: "lab0 is down", ru: "lab0 выключен" },
        { en: "Bring it up: ip link set lab0 up", ru: "Включите его: ip link set lab0 up" },
      );
    }
    return pass();
  },
});

const members = check<readonly Target[], { bridge: typeof bridge }>({
  id: "three-namespaces",
  title: {
    en: "Three network namespaces are plugged into it, each with an address of 10.20.0.0/24",
    ru: "К нему подключены три сетевых пространства имён, у каждого адрес из 10.20.0.0/24",
  },
  needs: { bridge },
  async run({ facts }) {
    const { named, namespace } = firstHost(await facts());
    const seen = new Set<number>();
    const plugged: {
      readonly name: string;
      readonly snapshot: NamespaceModel;
      readonly end: string;
    }[] = [];
    for (const [name, snapshot] of Object.entries(named)) {
      // Two names of one namespace are one.
      if (snapshot === null || seen.has(snapshot.inode)) continue;
      seen.add(snapshot.inode);
      const port = bridgePorts(snapshot, namespace).find((each) => each.bridge === BRIDGE);
      if (port !== undefined) plugged.push({ name, snapshot, end: port.inside });
    }
    const expected = {
      en: "three namespaces with a cable into lab0 and an address of 10.20.0.0/24",
      ru: "три пространства имён с кабелем в lab0 и адресом из 10.20.0.0/24",
    };
    if (plugged.length < 3) {
      const names = list(plugged.map(({ name }) => name));
      const hint = {
        en: "Each needs a veth pair, one end inside, the other with ip link set … master lab0.",
        ru: "Каждому нужна пара veth: один конец внутри, другой в мосту: ip link set … master lab0.",
      };
      const actual = { en: en`plugged into lab0: ${names}`, ru: ru`подключены к lab0: ${names}` };
      return fail(expected, actual, hint);
    }
    const places = plugged.flatMap(({ name, snapshot, end }): Target[] => {
      const address = addressesOf(snapshot, end).find(inside);
      return address === undefined ? [] : [{ label: name, at: { kind: "named", name }, address }];
    });
    if (places.length < 3) {
      const without = plugged.filter(({ name }) => !places.some(({ label }) => label === name));
      const names = list(without.map(({ name }) => name));
      return fail(expected, { en: en`without an address: ${names}`, ru: ru`без адреса: ${names}` });
    }
    const addresses = new Set(places.map(({ address }) => address));
    if (addresses.size < places.length) {
      return fail(expected, {
        en: "two of them have the same address",
        ru: "у двух из них один и тот же адрес",
      });
    }
    return pass(places, places.map(({ label, address }) => `${label} ${address}`).join(", "));
  },
});

const reach = reachability({
  id: "full-reachability",
  title: {
    en: "Each of them reaches each other one, and the bridge",
    ru: "Каждое дотягивается до каждого и до моста",
  },
  needs: { members },
  hint: {
    en: "Are both ends of each cable up? Does a rule of the chain FORWARD drop what crosses lab0?",
    ru: "Включены ли оба конца каждого кабеля? Не отбрасывает ли правило цепочки FORWARD то, что идёт через lab0?",
  },
  ways: ({ members: places }) =>
    allWays([...places, { label: BRIDGE, at: { kind: "host" }, address: GATEWAY }]),
});

const make =
  "ip link add lab0 type bridge; ip addr add 10.20.0.1/24 dev lab0; ip link set lab0 up\n";
const plug = (count: number, ...extra: readonly string[]) => `for n in $(seq ${count}); do
  ip netns add n$n; ip link add p$n type veth peer name eth0 netns n$n; ip link set p$n master lab0 up
  ip -n n$n addr add 10.20.0.1$n/24 dev eth0; ip -n n$n link set eth0 up
${extra.join("\n")}
done
`;
// Docker's policy for what is forwarded holds for bridges too.
const accept = "iptables -I FORWARD -i lab0 -o lab0 -j ACCEPT\n";

export const bridgeByHand: Exercise = {
  id: "bridge/by-hand",
  title: {
    en: "A bridge and three namespaces by hand",
    ru: "Мост и три пространства имён вручную",
  },
  lesson: "bridge",
  lab: "bridge",
  requires: [],
  checks: [bridge, members, reach],
  solutions: [
    { name: "ip", title: "With ip", script: make + accept + plug(3) },
    {
      name: "brctl",
      title: "With brctl, and rules by nft",
      script: `brctl addbr lab0; ip addr add 10.20.0.1/24 dev lab0; ip link set lab0 up
        nft insert rule ip filter FORWARD iifname lab0 accept
        for name in red green blue; do
          ip netns add $name; ip link add h-$name type veth peer name v-$name
          ip link set v-$name netns $name; brctl addif lab0 h-$name; ip link set h-$name up
          ip -n $name addr add 10.20.0.$((\${#name} * 10))/24 dev v-$name; ip -n $name link set v-$name up
        done`,
    },
    {
      name: "one-half-done",
      title: "A fourth that is plugged in and has no address yet",
      script: `${make}${accept}${plug(3)}ip netns add n4; ip link add p4 type veth peer name eth0 netns n4; ip link set p4 master lab0 up`,
    },
    {
      name: "past-the-filter",
      title: "Frames of bridges are no business of iptables",
      script: `${make}iptables -P FORWARD DROP; sysctl -qw net.bridge.bridge-nf-call-iptables=0\n${plug(3)}`,
    },
    { name: "four", title: "With one namespace more", script: make + accept + plug(4) },
  ],
  wrongAnswers: [
    {
      name: "forward-drops",
      title: "Nothing that is forwarded may pass",
      rejectedBy: "full-reachability",
      script: `${make}iptables -I FORWARD -i lab0 -j DROP\n${plug(3)}`,
    },
    { name: "only-bridge", title: "No namespaces", rejectedBy: "three-namespaces", script: make },
    {
      name: "two",
      title: "Two namespaces",
      rejectedBy: "three-namespaces",
      script: make + accept + plug(2),
    },
    {
      name: "no-address",
      title: "The bridge has no address",
      rejectedBy: "bridge",
      script: `ip link add lab0 type bridge; ip link set lab0 up; ${accept}${plug(3)}`,
    },
    {
      name: "bridge-down",
      title: "The bridge is down",
      rejectedBy: "bridge",
      script: `${make}${accept}${plug(3)}ip link set lab0 down`,
    },
    {
      name: "port-unplugged",
      title: "One cable is not in the bridge",
      rejectedBy: "three-namespaces",
      script: `${make}${accept}${plug(3)}ip link set p2 nomaster`,
    },
    {
      name: "port-down",
      title: "The host's end of one cable is down",
      rejectedBy: "full-reachability",
      script: `${make}${accept}${plug(3)}ip link set p2 down`,
    },
    {
      name: "isolated",
      title: "The ports are isolated from each other",
      rejectedBy: "full-reachability",
      script: `${make}${accept}${plug(3)}for n in 1 2 3; do bridge link set dev p$n isolated on; done`,
    },
    {
      name: "other-interface",
      title: "lab0 is no bridge",
      rejectedBy: "bridge",
      script:
        "ip link add lab0 type veth peer name other; ip addr add 10.20.0.1/24 dev lab0; ip link set lab0 up",
    },
    {
      name: "one-name-thrice",
      title: "One namespace under three names",
      rejectedBy: "three-namespaces",
      script: `${make}${accept}${plug(1)}ln -s /run/netns/n1 /run/netns/n2; ln -s /run/netns/n1 /run/netns/n3`,
    },
  ],
};

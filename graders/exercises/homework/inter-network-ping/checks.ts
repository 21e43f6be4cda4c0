import type { PingResult } from "../../../../sandbox/index.ts";
import { containerRuns, type RunningContainer } from "../../../checks/containers.ts";
import { removeFresh, startFresh } from "../../../checks/fresh-container.ts";
import { check, type Failed, fail, type Passed, pass } from "../../../core/exercise.ts";
import { en, ru, type Text, words } from "../../../core/text.ts";
import { collectHost } from "../../../facts/collect.ts";
import {
  addressesOf,
  type BridgeNetwork,
  bridgePorts,
  firstHost,
  type HostModel,
  hasBridge,
  list,
} from "../../../facts/model.ts";

const FIRST = "my-bridge-001";
const SECOND = "my-bridge-002";
const PINGS = 10;
const PING_INTERVAL_MS = 30;

interface Networks {
  readonly first: BridgeNetwork;
  readonly second: BridgeNetwork;
}

export const networksExist = check<Networks>({
  id: "networks-exist",
  title: {
    en: `Networks ${FIRST} and ${SECOND} exist, both with the bridge driver`,
    ru: `Есть сети ${FIRST} и ${SECOND}, обе с драйвером bridge`,
  },
  async run({ facts }) {
    const { networks } = firstHost(await facts());
    const expected = {
      en: `bridge networks ${FIRST} and ${SECOND}`,
      ru: `сети ${FIRST} и ${SECOND} с драйвером bridge`,
    };
    const named = (name: string) => networks.find((network) => network.name === name);
    const [first, second] = [named(FIRST), named(SECOND)];
    const missing = [FIRST, SECOND].filter((name) => named(name) === undefined);
    if (first === undefined || second === undefined) {
      const own = networks
        .map(({ name }) => name)
        .filter((name) => !["bridge", "host", "none"].includes(name));
      const create = missing.map((name) => `docker network create ${name}`).join("; ");
      return fail(
        expected,
        {
          en: en`user-defined networks: ${list(own)}`,
          ru: ru`пользовательские сети: ${list(own)}`,
        },
        { en: `Create what is missing: ${create}`, ru: `Создайте недостающее: ${create}` },
      );
    }
    const { bridge: firstBridge } = first;
    const { bridge: secondBridge } = second;
    if (firstBridge === null || secondBridge === null) {
      return fail(expected, `${FIRST}: ${first.driver}, ${SECOND}: ${second.driver}`);
    }
    return pass({
      first: { ...first, bridge: firstBridge },
      second: { ...second, bridge: secondBridge },
    });
  },
});

export const twoBridges = check({
  id: "two-bridges",
  title: { en: "They are two different bridges on the host", ru: "На хосте это два разных моста" },
  needs: { networks: networksExist },
  async run({ facts, networks: { first, second } }) {
    const { namespace } = firstHost(await facts());
    const expected = {
      en: "two bridge devices, one for each network",
      ru: "два моста, по одному на сеть",
    };
    if (first.id === second.id || first.bridge === second.bridge) {
      return fail(expected, { en: `both are ${first.bridge}`, ru: `обе — это ${first.bridge}` });
    }
    const absent = [first, second].filter(({ bridge }) => !hasBridge(namespace, bridge));
    if (absent.length > 0) {
      const gone = absent.map(({ name, bridge }) => `${bridge} (${name})`).join(", ");
      return fail(expected, {
        en: `the kernel has no bridge ${gone}`,
        ru: `в ядре нет моста ${gone}`,
      });
    }
    const [one, other] = [first.bridge, second.bridge];
    return pass(undefined, { en: `${one} and ${other}`, ru: `${one} и ${other}` });
  },
});

export const firstRuns = containerRuns(
  "c1",
  `docker run -d --name c1 --network ${FIRST} busybox sleep infinity`,
);

/** Where a container is in other networks than the one named, by the engine's word or the kernel's. */
function strayed(
  container: RunningContainer,
  network: Networks["first"],
  host: HostModel,
): Failed | undefined {
  const { name } = container;
  const expected = {
    en: `${name} in ${network.name} and in no other network`,
    ru: `${name} в ${network.name} и ни в какой другой сети`,
  };
  const names = Object.keys(container.networks);
  if (names.length !== 1 || names[0] !== network.name) {
    const others = names.filter((name) => name !== network.name);
    const hint =
      others.length > 0 && names.includes(network.name)
        ? {
            en: `The two containers are to meet across their networks: docker network disconnect ${others[0]} ${name}`,
            ru: `Контейнеры должны встретиться, оставаясь каждый в своей сети: docker network disconnect ${others[0]} ${name}`,
          }
        : undefined;
    const actual = { en: en`${name} is in: ${list(names)}`, ru: ru`сети ${name}: ${list(names)}` };
    return fail(expected, actual, hint);
  }
  if (container.namespace.inode === host.namespace.inode) {
    return fail(expected, {
      en: `${name} shares the host's network namespace`,
      ru: `у ${name} общее с хостом сетевое пространство имён`,
    });
  }
  const bridges = bridgePorts(container.namespace, host.namespace).map(({ bridge }) => bridge);
  if (bridges.length !== 1 || bridges[0] !== network.bridge) {
    return fail(
      {
        en: `${expected.en}: one interface in ${network.bridge}`,
        ru: `${expected.ru}: один интерфейс, подключённый к ${network.bridge}`,
      },
      {
        en: en`${name}'s interfaces are plugged into: ${list(bridges)}`,
        ru: ru`мосты, к которым подключены интерфейсы ${name}: ${list(bridges)}`,
      },
    );
  }
  return undefined;
}

export const firstInOneNetwork = check({
  id: "c1-in-one-network",
  title: {
    en: `c1 is in ${FIRST} and in no other network`,
    ru: `c1 в ${FIRST} и ни в какой другой сети`,
  },
  needs: { networks: networksExist, c1: firstRuns },
  async run({ facts, networks, c1 }) {
    const host = firstHost(await facts());
    const failure = strayed(c1, networks.first, host);
    if (failure !== undefined) return failure;
    const address = c1.networks[FIRST]?.address ?? "";
    const inside = bridgePorts(c1.namespace, host.namespace)[0]?.inside ?? "";
    const held = addressesOf(c1.namespace, inside);
    if (!held.includes(address)) {
      const claimed = address || { en: "no address", ru: "адреса нет" };
      return fail(
        { en: `c1 has its address in ${FIRST}`, ru: `у c1 есть его адрес в ${FIRST}` },
        {
          en: en`the engine says ${claimed}; the interface has: ${list(held)}`,
          ru: ru`движок говорит: ${claimed}; на интерфейсе: ${list(held)}`,
        },
      );
    }
    return pass(
      { address, pid: c1.pid },
      { en: `${address} on ${inside}`, ru: `${address} на ${inside}` },
    );
  },
});

export const secondInOneNetwork = check({
  id: "c2-in-one-network",
  title: {
    en: `c2, where there is one, is in ${SECOND} and in no other network`,
    ru: `c2, если он есть, в ${SECOND} и ни в какой другой сети`,
  },
  needs: { networks: networksExist },
  async run({ facts, networks }) {
    const host = firstHost(await facts());
    const c2 = host.containers.find(({ name }) => name === "c2");
    if (c2 === undefined || c2.namespace === null) {
      return pass(undefined, { en: "no c2 runs", ru: "c2 не работает" });
    }
    const failure = strayed({ ...c2, namespace: c2.namespace }, networks.second, host);
    return failure ?? pass(undefined, c2.networks[SECOND]?.address ?? "");
  },
});

function verdict(ping: PingResult, address: string): Passed<undefined> | Failed {
  const { sent, arrived, answeredByTarget, received } = ping;
  const expected = {
    en: `${PINGS} of ${PINGS} echo requests reach c1 at ${address}, and its replies come back`,
    ru: `${PINGS} из ${PINGS} эхо-запросов доходят до c1 на ${address}, и его ответы возвращаются`,
  };
  const counts = {
    en: `${sent} sent, ${arrived} arrived at c1, ${answeredByTarget} answered by c1, ${received} came back`,
    ru: `отправлено ${sent}, дошло до c1 ${arrived}, c1 ответил на ${answeredByTarget}, вернулось ${received}`,
  };
  const whole = [sent, arrived, answeredByTarget, received].every((count) => count === PINGS);
  if (whole) return pass(undefined, counts);
  const { sendError } = ping;
  const errors = ping.icmpErrors.join(", ");
  const said: Text =
    errors === "" ? "" : { en: `; answered with: ${errors}`, ru: `; в ответ пришло: ${errors}` };
  const actual = sendError
    ? { en: `sending failed with ${sendError}`, ru: `отправить не удалось: ${sendError}` }
    : words`${counts}${said}`;
  if (received > arrived) {
    return fail(expected, actual, {
      en: "Replies come back that c1 never gave: something answers in its stead.",
      ru: "Возвращаются ответы, которых c1 не давал: кто-то отвечает вместо него.",
    });
  }
  if (arrived === 0) {
    return fail(expected, actual, {
      en: "The requests do not get from one bridge to the other. See which rule of chain FORWARD counts them: iptables -nvL DOCKER-ISOLATION-STAGE-2",
      ru: "Запросы не переходят с одного моста на другой. Посмотрите, какое правило цепочки FORWARD их считает: iptables -nvL DOCKER-ISOLATION-STAGE-2",
    });
  }
  if (answeredByTarget === 0) {
    return fail(expected, actual, {
      en: "The requests arrive, and c1 does not answer. Look into c1.",
      ru: "Запросы доходят, но c1 не отвечает. Загляните в c1.",
    });
  }
  if (received === 0) {
    return fail(expected, actual, {
      en: "The requests arrive and c1 answers, but the replies are lost: a rule for one direction only?",
      ru: "Запросы доходят, и c1 отвечает, но ответы теряются: правило только для одного направления?",
    });
  }
  return fail(expected, actual, {
    en: "Some pass and some do not: look for a rule that counts or limits.",
    ru: "Одни проходят, другие нет: поищите правило, которое считает или ограничивает.",
  });
}

export const freshContainerReachesFirst = check({
  id: "fresh-container-reaches-c1",
  title: {
    en: `A fresh container in ${SECOND} alone reaches c1 by ping, without loss`,
    ru: `Новый контейнер, подключённый только к ${SECOND}, пингует c1 без потерь`,
  },
  startsContainers: true,
  needs: { networks: networksExist, bridges: twoBridges, c1: firstInOneNetwork },
  timeoutMs: 45_000,
  async run({ lab, networks, c1, signal }) {
    const host = lab.host();
    const fresh = await startFresh(host, networks.second.id, "homework/inter-network-ping");
    if ("refused" in fresh) {
      const expected = {
        en: `a fresh container starts in ${SECOND}`,
        ru: `в ${SECOND} запускается новый контейнер`,
      };
      return fail(expected, fresh.refused);
    }
    try {
      const ping = await host.hand().ping(
        {
          from: { kind: "pid", pid: fresh.pid },
          target: { kind: "pid", pid: c1.pid },
          address: c1.address,
          count: PINGS,
          intervalMs: PING_INTERVAL_MS,
          lastReplyWaitMs: 500,
        },
        { signal },
      );
      // Looked at after the ping: nothing may have plugged it in elsewhere meanwhile.
      const now = await collectHost(host, signal);
      const started = now.containers.find(({ id }) => id === fresh.id);
      const alone = {
        en: `the fresh container in ${SECOND} alone`,
        ru: `новый контейнер подключён только к ${SECOND}`,
      };
      const namespace = started?.namespace;
      if (!namespace) {
        return fail(alone, { en: "its process has ended", ru: "его процесс завершился" });
      }
      const names = Object.keys(started.networks);
      if (names.length !== 1 || names[0] !== SECOND) {
        return fail(alone, {
          en: en`it is in: ${list(names)}`,
          ru: ru`он в сетях: ${list(names)}`,
        });
      }
      const bridges = bridgePorts(namespace, now.namespace).map(({ bridge }) => bridge);
      if (
        namespace.inode === now.namespace.inode ||
        bridges.length !== 1 ||
        bridges[0] !== networks.second.bridge
      ) {
        return fail(alone, {
          en: en`its interfaces are plugged into: ${list(bridges)}`,
          ru: ru`мосты, к которым подключены его интерфейсы: ${list(bridges)}`,
        });
      }
      return verdict(ping, c1.address);
    } finally {
      await removeFresh(host, fresh);
    }
  },
});

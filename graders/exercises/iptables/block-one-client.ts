import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "../../../sandbox/index.ts";
import type { RunningContainer } from "../../checks/containers.ts";
import { HOST_ADDRESS } from "../../checks/published-port.ts";
import { grid, type TriedWay, tryWays, type Way } from "../../checks/reachability.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, ru } from "../../core/text.ts";
import { ask, inspectContainer } from "../../facts/inner-engine.ts";
import { allAddresses, type ContainerModel, firstHost, list } from "../../facts/model.ts";

interface Service {
  readonly server: RunningContainer;
  /** Of the host. */
  readonly port: number;
}

interface Parts extends Service {
  readonly clients: readonly RunningContainer[];
}

const running = (container: ContainerModel): container is RunningContainer =>
  container.running && !container.paused && container.namespace !== null;

/** Every published port with those who may ask for it. */
const parts = check<readonly Parts[]>({
  id: "service-and-clients",
  title: {
    en: "A container publishes a port of the host, and two others run beside it",
    ru: "Контейнер публикует порт хоста, а рядом работают ещё два",
  },
  async run({ facts }) {
    const { containers, namespace } = firstHost(await facts());
    const alive = containers.filter(running);
    const services = alive.flatMap((server): Service[] => {
      const bindings = server.published.filter(({ port }) => port.endsWith("/tcp"));
      return [...new Set(bindings.map(({ hostPort }) => hostPort))].map((port) => ({
        server,
        port,
      }));
    });
    const [first] = services;
    const expected = {
      en: "a container with a published TCP port, and two client containers with addresses of their own",
      ru: "контейнер с опубликованным портом TCP и два контейнера-клиента с собственными адресами",
    };
    if (first === undefined) {
      const names = list(alive.map(({ name }) => name));
      return fail(
        expected,
        {
          en: en`none of ${names} publishes a port`,
          ru: ru`порт не публикует никто; работают: ${names}`,
        },
        "docker run -d -p 8080:80 nginx",
      );
    }
    const clientsOf = ({ server }: Service) =>
      alive.filter(
        (each) =>
          each !== server &&
          each.namespace.inode !== namespace.inode &&
          // Who has no network is kept out of everything, and by no rule.
          allAddresses(each.namespace).some((held) => held.interface !== "lo"),
      );
    if (clientsOf(first).length < 2) {
      const { name } = first.server;
      const names = list(clientsOf(first).map((each) => each.name));
      return fail(expected, { en: en`beside ${name}: ${names}`, ru: ru`кроме ${name}: ${names}` });
    }
    return pass(
      services.map((service) => ({ ...service, clients: clientsOf(service) })),
      list(
        services.map(({ server: { name }, port }) => ({
          en: `${name} on ${port}`,
          ru: `${name} на порту ${port}`,
        })),
      ),
    );
  },
});

/** Who of the clients, by their processes, gets a connection to the server at the published port. */
async function served(
  lab: Lab,
  clients: readonly { readonly name: string; readonly pid: number }[],
  { server, port }: Service,
  signal: AbortSignal,
): Promise<readonly TriedWay[]> {
  const to = {
    label: `${HOST_ADDRESS}:${port}`,
    at: { kind: "pid", pid: server.pid },
    address: HOST_ADDRESS,
  } as const;
  const ways = clients.map(({ name, pid }): Way => {
    const from = { label: name, at: { kind: "pid", pid } } as const;
    return { from, to, over: `tcp/${port}`, reaches: true };
  });
  return tryWays(lab, ways, signal);
}

interface Reached {
  readonly service: Service;
  readonly ways: readonly TriedWay[];
  readonly blocked: readonly RunningContainer[];
  readonly others: readonly RunningContainer[];
}

interface Blocked {
  readonly service: Service;
  readonly blocked: RunningContainer;
  readonly others: readonly RunningContainer[];
}

const oneBlocked = check<Blocked, { all: typeof parts }>({
  id: "one-blocked",
  title: {
    en: "One client no longer reaches the service, the other one does",
    ru: "Один клиент больше не дотягивается до сервиса, другой дотягивается",
  },
  needs: { all: parts },
  async run({ lab, all, signal }) {
    const found: Reached[] = [];
    for (const service of all) {
      const { clients } = service;
      const ways = await served(lab, clients, service, signal);
      const [blocked = [], others = []] = [false, true].map((wanted) =>
        clients.filter((_, index) => ways[index]?.reached === wanted),
      );
      found.push({ service, ways, blocked, others });
    }
    for (const each of found) {
      const [only, ...more] = each.blocked;
      if (only !== undefined && more.length === 0 && each.others.length > 0) {
        const { service, others } = each;
        return pass({ service, blocked: only, others }, grid(each.ways, "reached"));
      }
    }
    // A port that nobody is answered on may be one that nothing listens on.
    const shown = found.find(({ others }) => others.length > 0) ?? found[0];
    const hint =
      shown?.blocked.length === 0
        ? {
            en: "Between a container and a published port stands docker-proxy: such a request ends on the host, with the published port, and FORWARD does not see it.",
            ru: "Между контейнером и опубликованным портом стоит docker-proxy: такой запрос заканчивается на хосте, на опубликованном порту, и FORWARD его не видит.",
          }
        : undefined;
    const place = `${HOST_ADDRESS}:${shown?.service.port}`;
    return fail(
      {
        en: `exactly one client does not reach ${place}`,
        ru: `до ${place} не дотягивается ровно один клиент`,
      },
      grid(shown?.ways ?? [], "reached"),
      hint,
    );
  },
});

const survives = check({
  id: "survives-restart",
  title: {
    en: "It is still so after the blocked client was restarted",
    ru: "Так остаётся и после перезапуска клиента, которого не пускают",
  },
  disruption: {
    en: "restarts the blocked client",
    ru: "перезапускает клиента, которого не пускают",
  },
  needs: { result: oneBlocked },
  timeoutMs: 40_000,
  async run({ lab, result: { service, blocked, others }, signal }) {
    const host = lab.host();
    const path = `/containers/${blocked.id}/restart?t=0`;
    await ask(host, { method: "POST", path, timeoutMs: 15_000, signal });
    // The new process needs its wires before anything can be said of them.
    await sleep(300, undefined, { signal });
    const { State } = await inspectContainer(host, blocked.id, signal);
    const admitted = list(others.map(({ name }) => name));
    const expected = {
      en: en`${blocked.name} is still kept out, and ${admitted} is not`,
      ru: ru`${blocked.name} по-прежнему не пускают, а ${admitted} — пускают`,
    };
    if (!State.Running) {
      return fail(expected, {
        en: `${blocked.name} does not run after its restart`,
        ru: `${blocked.name} после перезапуска не работает`,
      });
    }
    const clients = [{ name: blocked.name, pid: State.Pid }, ...others];
    const [again, ...rest] = await served(lab, clients, service, signal);
    if (again?.reached) {
      const hint = {
        en: "A rule inside the container's namespace, or one on its cable's name, goes with them.",
        ru: "Правило внутри пространства имён контейнера исчезает вместе с ним, правило на имя кабеля — вместе с кабелем.",
      };
      const actual = {
        en: `${blocked.name} reaches it again`,
        ru: `${blocked.name} снова дотягивается`,
      };
      return fail(expected, actual, hint);
    }
    const lost = rest.filter(({ reached }) => !reached).map(({ from }) => from.label);
    if (lost.length > 0) {
      return fail(expected, {
        en: en`kept out now as well: ${list(lost)}`,
        ru: ru`теперь не пускают ещё и: ${list(lost)}`,
      });
    }
    return pass();
  },
});

const start = `docker run -d --name web -p 8080:80 nginx
for name in client1 client2; do docker run -d --name $name busybox sleep infinity; done; sleep 0.5
ip1=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' client1)
mac1=$(docker inspect -f '{{.NetworkSettings.MacAddress}}' client1)
pid1=$(docker inspect -f '{{.State.Pid}}' client1)
veth1=$(ip -o link | sed -n "s/^$(docker exec client1 cat /sys/class/net/eth0/iflink): \\([^@:]*\\)[@:].*/\\1/p")
`;

export const blockOneClient: Exercise = {
  id: "iptables/block-one-client",
  title: { en: "Keep one client out", ru: "Не пускать одного клиента" },
  lesson: "iptables",
  lab: "iptables",
  requires: [],
  checks: [parts, oneBlocked, survives],
  solutions: [
    {
      name: "docker-user",
      title: "By its address, in DOCKER-USER and for Docker's proxy",
      script: `${start}iptables -I DOCKER-USER -s $ip1 -p tcp --dport 80 -j DROP; iptables -I INPUT -s $ip1 -p tcp --dport 8080 -j DROP`,
    },
    {
      name: "raw",
      title: "Before any translation, in the raw table",
      script: `${start}iptables -t raw -I PREROUTING -s $ip1 -p tcp --dport 8080 -j DROP`,
    },
    {
      name: "rejected",
      title: "Refused aloud, by nft",
      script: `${start}nft add table ip keepout; nft add chain ip keepout in '{ type filter hook prerouting priority -300; }'
        nft add rule ip keepout in ip saddr $ip1 tcp dport 8080 drop`,
    },
    {
      name: "two-ports",
      title: "The service publishes another port, on which nothing answers",
      script: `${start.replace("-p 8080:80", "-p 8443:443 -p 8080:80")}iptables -t raw -I PREROUTING -s $ip1 -p tcp --dport 8080 -j DROP`,
    },
    {
      name: "own-network",
      title: "The client is in a network of its own, whose subnet is kept out",
      script: `${start}docker rm -f client1; docker network create --subnet 172.30.0.0/24 kept-out
        docker run -d --name client1 --network kept-out busybox sleep infinity
        iptables -t raw -I PREROUTING -s 172.30.0.0/24 -p tcp --dport 8080 -j DROP`,
    },
    {
      name: "mac",
      title: "By its MAC address, which follows from its address",
      script: `${start}iptables -t raw -I PREROUTING -m mac --mac-source $mac1 -p tcp --dport 8080 -j DROP`,
    },
  ],
  wrongAnswers: [
    { name: "no-rule", title: "Both reach it", rejectedBy: "one-blocked", script: start },
    {
      name: "both-blocked",
      title: "Nobody reaches it",
      rejectedBy: "one-blocked",
      script: `${start}iptables -t raw -I PREROUTING -i docker0 -p tcp --dport 8080 -j DROP`,
    },
    {
      name: "published-port-in-forward",
      title: "The published port, where only the container's is seen",
      rejectedBy: "one-blocked",
      script: `${start}iptables -I DOCKER-USER -s $ip1 -p tcp --dport 8080 -j DROP`,
    },
    {
      name: "inside-the-container",
      title: "A rule in the client's own namespace",
      rejectedBy: "survives-restart",
      script: `${start}nsenter -t $pid1 -n iptables -A OUTPUT -p tcp --dport 8080 -j DROP`,
    },
    {
      name: "unplugged",
      title: "The client has no network at all",
      rejectedBy: "service-and-clients",
      script: `${start}docker network disconnect bridge client1`,
    },
    {
      name: "other-address",
      title: "A rule on an address that the client has not",
      rejectedBy: "one-blocked",
      script: `${start}iptables -t raw -I PREROUTING -s 172.17.0.99 -p tcp --dport 8080 -j DROP`,
    },
    {
      name: "service-gone",
      title: "Nothing is published",
      rejectedBy: "service-and-clients",
      script: `${start}docker rm -f web`,
    },
    {
      name: "client-gone",
      title: "The client is stopped",
      rejectedBy: "service-and-clients",
      script: `${start}docker stop -t 0 client1`,
    },
    {
      name: "by-cable",
      title: "By the name of its cable",
      rejectedBy: "survives-restart",
      script: `${start}nft add table bridge t; nft add chain bridge t c '{ type filter hook prerouting priority 0; }'; nft add rule bridge t c iifname $veth1 tcp dport 8080 drop`,
    },
  ],
};

import { containerRuns } from "../../checks/containers.ts";
import { removeFresh, startFresh } from "../../checks/fresh-container.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, joined, ru, words } from "../../core/text.ts";
import { addressesOf, bridgePorts, firstHost, list } from "../../facts/model.ts";

const ID = "bridge/user-defined-dns";
const EMBEDDED = "127.0.0.11";
const start = (name: string) =>
  `docker run -d --name ${name} --network NETWORK busybox sleep infinity`;

const appRuns = containerRuns("app", start("app"));
const dbRuns = containerRuns("db", start("db"));

const shared = check<
  { readonly name: string; readonly address: string },
  { app: typeof appRuns; db: typeof dbRuns }
>({
  id: "shared-network",
  title: {
    en: "app and db are in one user-defined bridge network",
    ru: "app и db в одной пользовательской сети с драйвером bridge",
  },
  needs: { app: appRuns, db: dbRuns },
  async run({ facts, app, db }) {
    const { networks, namespace } = firstHost(await facts());
    const expected = {
      en: "a network with the bridge driver, other than the default one, with both in it",
      ru: "сеть с драйвером bridge, не сеть по умолчанию, и в ней оба",
    };
    const common = networks.filter(
      ({ name, driver }) =>
        driver === "bridge" && name !== "bridge" && app.networks[name] && db.networks[name],
    );
    for (const { name, bridge } of common) {
      const plugged = [app, db].map((container) =>
        bridgePorts(container.namespace, namespace).find((port) => port.bridge === bridge),
      );
      const end = plugged[1]?.inside;
      const address = db.networks[name]?.address ?? "";
      if (plugged[0] && end && addressesOf(db.namespace, end).includes(address)) {
        return pass({ name, address }, name);
      }
    }
    const told = [app, db].map((each) => words`${each.name}: ${list(Object.keys(each.networks))}`);
    const hint = {
      en: "docker network create makes one; docker network connect plugs a running container in.",
      ru: "docker network create создаёт такую сеть, docker network connect подключает к ней работающий контейнер.",
    };
    return fail(expected, joined(told, "; "), hint);
  },
});

const noHostsEntry = check({
  id: "no-hosts-entry",
  title: { en: "No line of a hosts file does the work", ru: "Имя берётся не из файла hosts" },
  needs: { app: appRuns },
  async run({ lab, app, signal }) {
    const file = await lab.host().hand().readFile("/etc/hosts", { pid: app.pid, signal });
    const expected = {
      en: "/etc/hosts of app says nothing of db",
      ru: "в /etc/hosts контейнера app нет ни слова о db",
    };
    if ("problem" in file) {
      const absent = /no such file/i.test(file.problem);
      return absent
        ? pass(undefined, { en: "app has none", ru: "у app такого файла нет" })
        : fail(expected, file.problem);
    }
    // Names of hosts are the same in capitals: hosts(5), RFC 4343.
    const line = file.text.split("\n").find((each) => /^[^#]*\sdb(\s|$)/i.test(each));
    if (line === undefined) return pass();
    const hint = {
      en: "Take it out: the name is the embedded DNS server's work.",
      ru: "Уберите эту строку: имена — работа встроенного DNS.",
    };
    return fail(expected, line.trim(), hint);
  },
});

const resolves = check({
  id: "name-resolves",
  title: {
    en: "app finds db by its name, from Docker's embedded DNS",
    ru: "app находит db по имени, через встроенный DNS Docker",
  },
  needs: { app: appRuns, shared },
  async run({ lab, app, shared: { address }, signal }) {
    const from = { kind: "pid", pid: app.pid } as const;
    const answer = await lab.host().hand().dns({ from, server: EMBEDDED, name: "db" }, { signal });
    const expected = {
      en: `${EMBEDDED} in app answers for db with ${address}`,
      ru: `${EMBEDDED} в app на имя db отвечает ${address}`,
    };
    if (!answer.answered) {
      return fail(expected, { en: "nothing answers there", ru: "там никто не отвечает" });
    }
    if (answer.addresses.includes(address)) return pass(undefined, list(answer.addresses));
    return fail(
      expected,
      answer.addresses.length > 0
        ? list(answer.addresses)
        : { en: "it knows no db", ru: "имени db он не знает" },
    );
  },
});

const reaches = check({
  id: "app-reaches-db",
  title: { en: "app reaches db at that address", ru: "app дотягивается до db по этому адресу" },
  needs: { app: appRuns, db: dbRuns, shared, resolves },
  async run({ lab, app, db, shared: { address }, signal }) {
    const probe = {
      from: { kind: "pid", pid: app.pid },
      target: { kind: "pid", pid: db.pid },
      address,
      count: 3,
      intervalMs: 30,
    } as const;
    const { arrived, received } = await lab.host().hand().ping(probe, { signal });
    if (arrived === 3 && received === 3) return pass();
    return fail(
      { en: `db answers app at ${address}`, ru: `db отвечает app по адресу ${address}` },
      {
        en: `3 sent, ${arrived} arrived at db, ${received} came back`,
        ru: `отправлено 3, дошло до db ${arrived}, вернулось ${received}`,
      },
    );
  },
});

const unknownElsewhere = check({
  id: "unknown-in-default-bridge",
  title: {
    en: "From the default bridge the same names do not resolve",
    ru: "Из сети по умолчанию те же имена не разрешаются",
  },
  startsContainers: true,
  needs: { app: appRuns, db: dbRuns },
  timeoutMs: 30_000,
  async run({ lab, signal }) {
    const host = lab.host();
    const fresh = await startFresh(host, "bridge", ID);
    if ("refused" in fresh) {
      const expected = {
        en: "a container starts in the default bridge",
        ru: "в сети по умолчанию запускается контейнер",
      };
      return fail(expected, fresh.refused);
    }
    try {
      const hand = host.hand();
      const read = async (path: string) => {
        const file = await hand.readFile(path, { pid: fresh.pid, signal });
        return "text" in file ? file.text : "";
      };
      const expected = {
        en: "a fresh container in the default bridge finds neither app nor db",
        ru: "новый контейнер в сети по умолчанию не находит ни app, ни db",
      };
      const hosts = (await read("/etc/hosts")).split("\n");
      const known = hosts.find((line) => /^[^#]*\s(app|db)(\s|$)/.test(line));
      if (known !== undefined) {
        return fail(expected, {
          en: `its hosts file says: ${known.trim()}`,
          ru: `в его файле hosts написано: ${known.trim()}`,
        });
      }
      const servers = [...(await read("/etc/resolv.conf")).matchAll(/^nameserver\s+([\d.]+)/gm)];
      for (const [, server = ""] of servers) {
        for (const name of ["app", "db"]) {
          const from = { kind: "pid", pid: fresh.pid } as const;
          const { addresses } = await hand.dns({ from, server, name }, { signal });
          if (addresses.length > 0) {
            return fail(expected, {
              en: en`${server} answers for ${name} with ${list(addresses)}`,
              ru: ru`${server} на имя ${name} отвечает ${list(addresses)}`,
            });
          }
        }
      }
      return pass();
    } finally {
      await removeFresh(host, fresh);
    }
  },
});

const both = (network: string) =>
  `for name in app db; do docker run -d --name $name --network ${network} busybox sleep infinity; done\n`;

export const userDefinedDns: Exercise = {
  id: ID,
  title: { en: "Names in a user-defined network", ru: "Имена в пользовательской сети" },
  lesson: "bridge",
  lab: "bridge",
  requires: [],
  checks: [appRuns, dbRuns, shared, noHostsEntry, resolves, reaches, unknownElsewhere],
  solutions: [
    {
      name: "create",
      title: "Both start in the network",
      script: `docker network create backend\n${both("backend")}`,
    },
    {
      name: "connect",
      title: "Both are plugged in while they run",
      script: `docker network create backend; ${both("bridge")}docker network connect backend app; docker network connect backend db`,
    },
    {
      name: "compose",
      title: "By compose, with names for the containers",
      script: `mkdir -p /root/dns && cd /root/dns
        printf 'services:\\n  app: {image: busybox, container_name: app, command: sleep infinity}\\n  db: {image: busybox, container_name: db, command: sleep infinity}\\n' > compose.yaml
        docker compose up -d`,
    },
  ],
  wrongAnswers: [
    {
      name: "default-bridge",
      title: "Both in the default bridge",
      rejectedBy: "shared-network",
      script: both("bridge"),
    },
    {
      name: "links",
      title: "The old links of the default bridge",
      rejectedBy: "shared-network",
      script: `docker run -d --name db busybox sleep infinity; docker run -d --name app --link db busybox sleep infinity`,
    },
    {
      name: "hosts-entry",
      title: "A line in a hosts file",
      rejectedBy: "no-hosts-entry",
      script: `docker network create backend; docker run -d --name db --network backend busybox sleep infinity
        docker run -d --name app --network backend --add-host db:172.18.0.2 busybox sleep infinity`,
    },
    {
      name: "hosts-entry-written",
      title: "A line written into the running container's file, in capitals",
      rejectedBy: "no-hosts-entry",
      script: `docker network create backend\n${both("backend")}docker exec app sh -c 'echo "172.18.0.3 DB" >> /etc/hosts'`,
    },
    {
      name: "hosts-entry-buried",
      title: "A line in a hosts file of a megabyte",
      rejectedBy: "no-hosts-entry",
      script: `docker network create backend\n${both("backend")}docker exec app sh -c 'yes "# nothing here" | head -c 1000000 > /tmp/h; echo "172.18.0.3 db" >> /tmp/h; cat /tmp/h >> /etc/hosts'`,
    },
    {
      name: "resolver-cut",
      title: "app's way to the embedded DNS server is cut",
      rejectedBy: "name-resolves",
      script: `docker network create backend\n${both("backend")}nsenter -t $(docker inspect -f '{{.State.Pid}}' app) -n iptables -t nat -F`,
    },
    {
      name: "two-networks",
      title: "Each in a network of its own",
      rejectedBy: "shared-network",
      script: `docker network create one; docker network create two
        docker run -d --name app --network one busybox sleep infinity
        docker run -d --name db --network two busybox sleep infinity`,
    },
    {
      name: "host-network",
      title: "Both in the host's namespace",
      rejectedBy: "shared-network",
      script: both("host"),
    },
    {
      name: "filtered",
      title: "The name resolves, and no packet gets through",
      rejectedBy: "app-reaches-db",
      script: `docker network create -o com.docker.network.bridge.enable_icc=false backend\n${both("backend")}`,
    },
    {
      name: "paused",
      title: "db is paused",
      rejectedBy: "db-runs",
      script: `docker network create backend\n${both("backend")}docker pause db`,
    },
  ],
};

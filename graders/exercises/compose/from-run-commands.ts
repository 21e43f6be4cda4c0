import type { FileResult } from "../../../sandbox/index.ts";
import {
  composeFileOf,
  projectOf,
  seeing,
  serviceContainers,
  startedWith,
} from "../../checks/compose-project.ts";
import type { RunningContainer } from "../../checks/containers.ts";
import { patiently } from "../../checks/patience.ts";
import { askFromOutside, HOST_ADDRESS, whyNot } from "../../checks/published-port.ts";
import { type Check, check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, joined, ru, words } from "../../core/text.ts";
import {
  addressesOf,
  bridgePorts,
  type ContainerModel,
  firstHost,
  list,
} from "../../facts/model.ts";

const EMBEDDED = "127.0.0.11";
const LOG = "/var/log/app";

const isRunning = (each: ContainerModel): each is RunningContainer =>
  each.running && !each.paused && each.namespace !== null;

/** A check that a service of a compose file runs; its value is the container. */
const serviceRuns = (service: string): Check<RunningContainer> =>
  check<RunningContainer>({
    id: `${service}-runs`,
    title: {
      en: `Service ${service} of a compose file runs`,
      ru: `Сервис ${service} из файла compose работает`,
    },
    async run({ facts }) {
      const host = firstHost(await facts());
      const all = serviceContainers(host, service);
      const found = all.find(isRunning);
      if (found !== undefined) return pass(found, found.name);
      const expected = {
        en: `a running container of a compose service ${service}`,
        ru: `работающий контейнер сервиса ${service} из файла compose`,
      };
      if (all.length > 0) {
        const names = list(all.map(({ name }) => name));
        return fail(expected, { en: en`${names} does not run`, ru: ru`не работает: ${names}` });
      }
      const byHand = host.containers.find(({ name }) => name === service);
      const hint = {
        en: "Write it down in compose.yaml and run: docker compose up -d",
        ru: "Опишите его в compose.yaml и выполните: docker compose up -d",
      };
      const actual =
        byHand === undefined
          ? { en: `no service ${service}`, ru: `сервиса ${service} нет` }
          : {
              en: `${service} runs, started by docker run`,
              ru: `${service} работает, но запущен через docker run`,
            };
      return fail(expected, actual, hint);
    },
  });

const server = serviceRuns("my-server");
const client = serviceRuns("my-client");

const shared = check<string, { server: typeof server; client: typeof client }>({
  id: "shared-network",
  title: { en: "Both are in one network of their project", ru: "Оба в одной сети своего проекта" },
  needs: { server, client },
  async run({ lab, facts, server: serving, client: asking, signal }) {
    const { networks, namespace } = firstHost(await facts());
    for (const { name, bridge } of networks) {
      const plugged = [serving, asking].map((each) =>
        bridgePorts(each.namespace, namespace).find((port) => port.bridge === bridge),
      );
      const address = serving.networks[name]?.address ?? "";
      const end = plugged[0]?.inside;
      if (name === "bridge" || !plugged[1] || !end) continue;
      if (
        projectOf(serving) === projectOf(asking) &&
        addressesOf(serving.namespace, end).includes(address)
      ) {
        return pass(address, name);
      }
    }
    const told = [serving, asking].map(
      (each) => words`${each.name}: ${list(Object.keys(each.networks))}`,
    );
    const read = await composeFileOf(lab.host(), asking, signal);
    const where = "file" in read ? read.file.where("services", "my-client", "networks") : "";
    return fail(
      { en: "a user-defined network with both in it", ru: "пользовательская сеть, в которой оба" },
      seeing(joined(told, "; "), where),
    );
  },
});

const environment = check({
  id: "server-ip",
  title: {
    en: "my-client has SERVER_IP=my-server:8080 in its environment",
    ru: "В окружении my-client есть SERVER_IP=my-server:8080",
  },
  needs: { client },
  run: ({ lab, client: asking, signal }) =>
    startedWith(lab.host(), asking, "SERVER_IP=my-server:8080", signal),
});

const asks = check({
  id: "client-reaches-server",
  title: {
    en: "my-client finds my-server by its name and gets an answer",
    ru: "my-client находит my-server по имени и получает ответ",
  },
  needs: { server, client, shared },
  async run({ lab, server: serving, client: asking, shared: address, signal }) {
    const from = { kind: "pid", pid: asking.pid } as const;
    const hand = lab.host().hand();
    const { addresses } = await hand.dns({ from, server: EMBEDDED, name: "my-server" }, { signal });
    if (!addresses.includes(address)) {
      return fail(
        {
          en: `my-server is ${address} for my-client`,
          ru: `для my-client имя my-server — это ${address}`,
        },
        { en: en`it finds: ${list(addresses)}`, ru: ru`найдено: ${list(addresses)}` },
      );
    }
    const target = { kind: "pid", pid: serving.pid } as const;
    const answer = await hand.get({ from, target, address, port: 8080 }, { signal });
    if (answer.arrived && answer.body.includes("hello from")) return pass();
    return fail(
      {
        en: `my-server answers my-client on ${address}:8080`,
        ru: `my-server отвечает my-client на ${address}:8080`,
      },
      whyNot(answer),
    );
  },
});

const published = check({
  id: "published",
  title: {
    en: "Port 8080 of the host leads to my-server",
    ru: "Порт 8080 хоста ведёт к my-server",
  },
  needs: { server },
  async run({ lab, server: serving, signal }) {
    const answer = await askFromOutside(lab, 8080, serving, signal);
    if (answer.arrived && answer.body.includes("hello from")) return pass();
    const read = await composeFileOf(lab.host(), serving, signal);
    const ports = "file" in read ? read.file.get("services", "my-server", "ports") : undefined;
    const where = "file" in read ? read.file.where("services", "my-server", "ports") : "";
    const declared =
      ports === undefined
        ? { en: "the compose file publishes none", ru: "файл compose никакого порта не публикует" }
        : {
            en: `${where} says ${JSON.stringify(ports)}`,
            ru: `в ${where} сказано ${JSON.stringify(ports)}`,
          };
    return fail(
      {
        en: `${HOST_ADDRESS}:8080 is answered by my-server`,
        ru: `на ${HOST_ADDRESS}:8080 отвечает my-server`,
      },
      words`${whyNot(answer)}; ${declared}`,
    );
  },
});

const volume = check({
  id: "log-volume",
  title: {
    en: `A named volume is mounted at ${LOG} of my-client, and its log is in it`,
    ru: `В ${LOG} контейнера my-client смонтирован именованный том, и журнал лежит в нём`,
  },
  needs: { client },
  async run({ lab, client: asking, signal }) {
    const hand = lab.host().hand();
    const mounts = await hand.mounts(asking.pid, { signal });
    const expected = { en: `a named volume at ${LOG}`, ru: `именованный том в ${LOG}` };
    const line =
      "text" in mounts
        ? mounts.text.split("\n").find((each) => each.split(" ")[4] === LOG)
        : undefined;
    const source = line?.split(" ")[3] ?? "";
    const name = /\/volumes\/([^/]+)\/_data$/.exec(source)?.[1];
    if (name === undefined) {
      const read = await composeFileOf(lab.host(), asking, signal);
      const where = "file" in read ? read.file.where("services", "my-client", "volumes") : "";
      const actual =
        line === undefined
          ? { en: `nothing is mounted at ${LOG}`, ru: `в ${LOG} ничего не смонтировано` }
          : {
              en: `${source} of the host is mounted there`,
              ru: `там смонтирован ${source} хоста`,
            };
      return fail(expected, seeing(actual, where));
    }
    // What nobody named has the name of its own content.
    if (/^[0-9a-f]{64}$/.test(name)) {
      return fail(expected, { en: "a volume without a name", ru: "том без имени" });
    }
    const options = { pid: asking.pid, maxBytes: 8 << 20, signal };
    const says = (seen: FileResult) => "text" in seen && seen.text.includes("hello from");
    const log = await patiently(
      () => hand.readFile(`${LOG}/client.log`, options),
      (seen) => !says(seen),
      signal,
    );
    if (says(log)) return pass(undefined, name);
    return fail(
      {
        en: `${LOG}/client.log says what my-server answered`,
        ru: `в ${LOG}/client.log записано, что ответил my-server`,
      },
      "problem" in log
        ? log.problem
        : { en: "it says nothing of the kind", ru: "ничего подобного там нет" },
    );
  },
});

const FOLDER = "/root/compose/from-run-commands";
const up = (text: string, more = "") =>
  `mkdir -p ${FOLDER} && cd ${FOLDER} && cat > compose.yaml <<'Y'\n${text}\nY\ndocker compose up -d && sleep 3\n${more}`;
const parts = {
  ports: '    ports: ["8080:8080"]',
  serverNetwork: "    networks: [client_server_network]",
  environment: '    environment: ["SERVER_IP=my-server:8080"]',
  clientNetwork: "    networks: [client_server_network]",
  volumes: '    volumes: ["log-volume:/var/log/app"]',
};
const file = (changed: Partial<typeof parts> = {}) => {
  const {
    ports,
    serverNetwork,
    environment: env,
    clientNetwork,
    volumes,
  } = { ...parts, ...changed };
  return [
    ...["services:", "  my-server:", "    image: server", ports, serverNetwork],
    ...["  my-client:", "    image: client", env, clientNetwork, volumes],
    ...["networks:", "  client_server_network:", "  elsewhere:", "volumes:", "  log-volume:"],
  ]
    .filter((line) => line !== "")
    .join("\n");
};

export const fromRunCommands: Exercise = {
  id: "compose/from-run-commands",
  title: { en: "From docker run to a compose file", ru: "От docker run к файлу compose" },
  lesson: "compose",
  lab: "compose",
  requires: [],
  checks: [server, client, shared, environment, asks, published, volume],
  solutions: [
    { name: "lecture", title: "As the lecture writes it", script: up(file()) },
    {
      name: "default-network",
      title: "With the network that compose makes by itself, and maps for lists",
      script: up(`services:
  my-server: {image: server, ports: [{target: 8080, published: "8080"}]}
  my-client: {image: client, environment: {SERVER_IP: "my-server:8080"}, volumes: ["logs:/var/log/app"]}
volumes: {logs: {}}`),
    },
    {
      name: "several-files",
      title:
        "Each service in a file of its own, one included, one extended, under another project's name",
      script: `mkdir -p ${FOLDER} && cd ${FOLDER} && cat > stack.yml <<'Y'
include: [server.yml]
services:
  my-client:
    extends: {file: base.yml, service: asking}
    profiles: [clients]
volumes: {logs: {}}
Y
printf 'services: {my-server: {image: server, ports: ["8080:8080"]}}\\n' > server.yml
printf 'services: {asking: {image: client, environment: {SERVER_IP: "my-server:8080"}, volumes: ["logs:/var/log/app"]}}\\n' > base.yml
docker compose -f stack.yml -p shop --profile clients up -d && sleep 3`,
    },
    {
      name: "env-file",
      title: "SERVER_IP in a file of variables, a volume made before",
      script: `docker volume create before\nmkdir -p ${FOLDER} && cd ${FOLDER}\necho SERVER_IP=my-server:8080 > client.env\n${up(
        file({
          environment: "    env_file: client.env",
          volumes: '    volumes: ["before:/var/log/app"]',
        }).replace("  log-volume:", "  before: {external: true}"),
      )}`,
    },
    {
      name: "named-volume",
      title: "With names for containers and volume, in docker-compose.yml",
      script: `mkdir -p ${FOLDER} && cd ${FOLDER} && cat > docker-compose.yml <<'Y'
${file()
  .replace("image: server", "image: server\n    container_name: my-server")
  .replace("  log-volume:\n", "")
  .replace(/ {2}log-volume:$/, "  log-volume: {name: log_volume}")}
Y
docker compose up -d && sleep 3`,
    },
  ],
  wrongAnswers: [
    {
      name: "run-commands",
      title: "The commands of the lecture, run",
      rejectedBy: "my-server-runs",
      script: `docker network create client_server_network; docker volume create log_volume
        docker run -d -p 8080:8080 --name my-server --network client_server_network server
        docker run -d -e SERVER_IP=my-server:8080 -v log_volume:/var/log/app --name my-client --network client_server_network client; sleep 3`,
    },
    { name: "no-port", title: "No port", rejectedBy: "published", script: up(file({ ports: "" })) },
    {
      name: "other-port",
      title: "Another port",
      rejectedBy: "published",
      script: up(file({ ports: '    ports: ["8081:8080"]' })),
    },
    {
      name: "no-environment",
      title: "SERVER_IP names somebody else",
      rejectedBy: "server-ip",
      script: up(file({ environment: '    environment: ["SERVER_IP=server:8080"]' })),
    },
    {
      name: "other-network",
      title: "The client is in another network",
      rejectedBy: "shared-network",
      script: up(file({ clientNetwork: "    networks: [elsewhere]" })),
    },
    {
      name: "edited-not-applied",
      title: "SERVER_IP was mended in the file, and nothing was started again",
      rejectedBy: "server-ip",
      script: `${up(file({ environment: '    environment: ["SERVER_IP=server:8080"]' }))}sed -i 's/=server:/=my-server:/' compose.yaml`,
    },
    {
      name: "hosts-entry",
      title: "my-server is a line in the client's hosts file, and another network's container",
      rejectedBy: "shared-network",
      script: up(
        file({
          clientNetwork: '    networks: [elsewhere]\n    extra_hosts: ["my-server:10.77.0.11"]',
        }),
      ),
    },
    {
      name: "no-volume",
      title: "Without a volume",
      rejectedBy: "log-volume",
      script: up(file({ volumes: "" })),
    },
    {
      name: "bind-mount",
      title: "A folder of the host in place of a volume",
      rejectedBy: "log-volume",
      script: up(file({ volumes: '    volumes: ["/srv/logs:/var/log/app"]' })),
    },
    {
      name: "written-only",
      title: "The file is written and not run",
      rejectedBy: "my-server-runs",
      script: `mkdir -p ${FOLDER} && cd ${FOLDER} && cat > compose.yaml <<'Y'\n${file()}\nY\n`,
    },
    {
      name: "server-stopped",
      title: "The server has ended",
      rejectedBy: "my-server-runs",
      script: up(file(), "docker compose stop -t 0 my-server"),
    },
  ],
};

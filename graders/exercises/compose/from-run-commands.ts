import type { FileResult } from "../../../sandbox/index.ts";
import {
  composeFileOf,
  projectOf,
  serviceContainers,
  startedWith,
} from "../../checks/compose-project.ts";
import type { RunningContainer } from "../../checks/containers.ts";
import { patiently } from "../../checks/patience.ts";
import { askFromOutside, HOST_ADDRESS, whyNot } from "../../checks/published-port.ts";
import { type Check, check, type Exercise, fail, pass } from "../../core/exercise.ts";
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
    title: `Service ${service} of a compose file runs`,
    async run({ facts }) {
      const host = firstHost(await facts());
      const all = serviceContainers(host, service);
      const found = all.find(isRunning);
      if (found !== undefined) return pass(found, found.name);
      const expected = `a running container of a compose service ${service}`;
      if (all.length > 0)
        return fail(expected, `${list(all.map(({ name }) => name))} does not run`);
      const byHand = host.containers.find(({ name }) => name === service);
      const hint = "Write it down in compose.yaml and run: docker compose up -d";
      const actual =
        byHand === undefined ? `no service ${service}` : `${service} runs, started by docker run`;
      return fail(expected, actual, hint);
    },
  });

const server = serviceRuns("my-server");
const client = serviceRuns("my-client");

const shared = check<string, { server: typeof server; client: typeof client }>({
  id: "shared-network",
  title: "Both are in one network of their project",
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
      (each) => `${each.name}: ${list(Object.keys(each.networks))}`,
    );
    const read = await composeFileOf(lab.host(), asking, signal);
    const where =
      "file" in read ? `; see ${read.file.where("services", "my-client", "networks")}` : "";
    return fail("a user-defined network with both in it", `${told.join("; ")}${where}`);
  },
});

const environment = check({
  id: "server-ip",
  title: "my-client has SERVER_IP=my-server:8080 in its environment",
  needs: { client },
  run: ({ lab, client: asking, signal }) =>
    startedWith(lab.host(), asking, "SERVER_IP=my-server:8080", signal),
});

const asks = check({
  id: "client-reaches-server",
  title: "my-client finds my-server by its name and gets an answer",
  needs: { server, client, shared },
  async run({ lab, server: serving, client: asking, shared: address, signal }) {
    const from = { kind: "pid", pid: asking.pid } as const;
    const hand = lab.host().hand();
    const { addresses } = await hand.dns({ from, server: EMBEDDED, name: "my-server" }, { signal });
    if (!addresses.includes(address)) {
      return fail(`my-server is ${address} for my-client`, `it finds: ${list(addresses)}`);
    }
    const target = { kind: "pid", pid: serving.pid } as const;
    const answer = await hand.get({ from, target, address, port: 8080 }, { signal });
    if (answer.arrived && answer.body.includes("hello from")) return pass();
    return fail(`my-server answers my-client on ${address}:8080`, whyNot(answer));
  },
});

const published = check({
  id: "published",
  title: "Port 8080 of the host leads to my-server",
  needs: { server },
  async run({ lab, server: serving, signal }) {
    const answer = await askFromOutside(lab, 8080, serving, signal);
    if (answer.arrived && answer.body.includes("hello from")) return pass();
    const read = await composeFileOf(lab.host(), serving, signal);
    const ports = "file" in read ? read.file.get("services", "my-server", "ports") : undefined;
    const declared =
      "file" in read && ports !== undefined
        ? `${read.file.where("services", "my-server", "ports")} says ${JSON.stringify(ports)}`
        : "the compose file publishes none";
    return fail(`${HOST_ADDRESS}:8080 is answered by my-server`, `${whyNot(answer)}; ${declared}`);
  },
});

const volume = check({
  id: "log-volume",
  title: `A named volume is mounted at ${LOG} of my-client, and its log is in it`,
  needs: { client },
  async run({ lab, client: asking, signal }) {
    const hand = lab.host().hand();
    const mounts = await hand.mounts(asking.pid, { signal });
    const expected = `a named volume at ${LOG}`;
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
          ? `nothing is mounted at ${LOG}`
          : `${source} of the host is mounted there`;
      return fail(expected, where === "" ? actual : `${actual}; see ${where}`);
    }
    // What nobody named has the name of its own content.
    if (/^[0-9a-f]{64}$/.test(name)) return fail(expected, "a volume without a name");
    const options = { pid: asking.pid, maxBytes: 8 << 20, signal };
    const says = (seen: FileResult) => "text" in seen && seen.text.includes("hello from");
    const log = await patiently(
      () => hand.readFile(`${LOG}/client.log`, options),
      (seen) => !says(seen),
      signal,
    );
    if (says(log)) return pass(undefined, name);
    return fail(
      `${LOG}/client.log says what my-server answered`,
      "problem" in log ? log.problem : "it says nothing of the kind",
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
  title: "From docker run to a compose file",
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

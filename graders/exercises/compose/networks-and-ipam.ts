import { composeFileOf, seeing, serviceContainers } from "../../checks/compose-project.ts";
import { askFromOutside, HOST_ADDRESS, whyNot } from "../../checks/published-port.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, joined, ru, words } from "../../core/text.ts";
import { allAddresses, bridgePorts, firstHost, list } from "../../facts/model.ts";

const SUBNET = "100.64.16.0/24";
const inSubnet = (address: string) => address.startsWith("100.64.16.");

const declared = check<{ readonly bridge: string }>({
  id: "network-of-project",
  title: {
    en: `A compose project has a network with the subnet ${SUBNET}`,
    ru: `У проекта compose есть сеть с подсетью ${SUBNET}`,
  },
  async run({ lab, facts, signal }) {
    const host = firstHost(await facts());
    const found = host.networks.find(
      ({ subnets, bridge }) => bridge !== null && subnets.some(({ subnet }) => subnet === SUBNET),
    );
    const expected = {
      en: `a bridge network with subnet ${SUBNET}`,
      ru: `сеть с драйвером bridge и подсетью ${SUBNET}`,
    };
    if (found?.bridge) {
      const held = allAddresses(host.namespace).filter((each) => each.interface === found.bridge);
      if (held.some(({ address, prefix }) => inSubnet(address) && prefix === 24))
        return pass({ bridge: found.bridge }, found.name);
      const addresses = list(held.map(({ address, prefix }) => `${address}/${prefix}`));
      return fail(expected, {
        en: en`${found.bridge} has: ${addresses}`,
        ru: ru`адреса ${found.bridge}: ${addresses}`,
      });
    }
    const own = host.networks.filter(({ name }) => !["bridge", "host", "none"].includes(name));
    const told = own.map(
      ({ name, subnets }) => words`${name}: ${list(subnets.map(({ subnet }) => subnet))}`,
    );
    const started = serviceContainers(host, "server")[0];
    const read =
      started === undefined ? undefined : await composeFileOf(lab.host(), started, signal);
    const actual = list(told);
    const where = read && "file" in read ? read.file.where("networks") : "";
    return fail(expected, seeing(actual, where), {
      en: "networks: NAME: ipam: config: - subnet: …; a network that is there already keeps its subnet until docker compose down.",
      ru: "networks: ИМЯ: ipam: config: - subnet: …; у сети, которая уже есть, подсеть прежняя, пока не сделан docker compose down.",
    });
  },
});

const member = check({
  id: "server-in-it",
  title: {
    en: "Service server runs in it, with an address of that subnet",
    ru: "В ней работает сервис server с адресом из этой подсети",
  },
  needs: { network: declared },
  async run({ facts, network: { bridge } }) {
    const host = firstHost(await facts());
    const all = serviceContainers(host, "server");
    const expected = {
      en: `a container of service server with an address of ${SUBNET}`,
      ru: `контейнер сервиса server с адресом из ${SUBNET}`,
    };
    const [first] = all;
    if (first === undefined) {
      return fail(expected, {
        en: "no compose service server",
        ru: "сервиса server нет ни в одном проекте compose",
      });
    }
    for (const { namespace, running } of all) {
      if (!running || namespace === null) continue;
      const port = bridgePorts(namespace, host.namespace).find((each) => each.bridge === bridge);
      const address = allAddresses(namespace).find((each) => each.interface === port?.inside);
      if (address !== undefined && inSubnet(address.address))
        return pass(undefined, address.address);
    }
    const told = all.map(
      ({ name, running, networks }) =>
        words`${name}: ${running ? list(Object.keys(networks)) : { en: "does not run", ru: "не работает" }}`,
    );
    return fail(expected, joined(told, "; "));
  },
});

const answers = check({
  id: "server-answers",
  title: { en: "Port 8080 of the host leads to it", ru: "Порт 8080 хоста ведёт к нему" },
  needs: { member },
  async run({ lab, facts, signal }) {
    const host = firstHost(await facts());
    const alive = serviceContainers(host, "server").filter(({ running }) => running);
    const answers = await Promise.all(
      alive.map((container) => askFromOutside(lab, 8080, container, signal)),
    );
    if (answers.some(({ arrived, status }) => arrived && status !== null)) return pass();
    const expected = {
      en: `${HOST_ADDRESS}:8080 is answered by service server`,
      ru: `на ${HOST_ADDRESS}:8080 отвечает сервис server`,
    };
    const ended = { en: "it does not run any more", ru: "он больше не работает" };
    return fail(expected, answers.map(whyNot)[0] ?? ended);
  },
});

const FOLDER = "/root/compose/networks-and-ipam";
const up = (text: string) =>
  `mkdir -p ${FOLDER} && cd ${FOLDER} && cat > compose.yaml <<'Y'\n${text}\nY\ndocker compose up -d && sleep 2\n`;
const file = (
  subnet = SUBNET,
  ports = '["8080:8080"]',
  networks = "[client_server_network_002]",
) => `services:
  server:
    image: server
    ports: ${ports}
    networks: ${networks}
networks:
  client_server_network_002:
    ipam:
      config:
        - subnet: ${subnet}
  other:`;

export const networksAndIpam: Exercise = {
  id: "compose/networks-and-ipam",
  title: { en: "A network with a subnet of choice", ru: "Сеть с выбранной подсетью" },
  lesson: "compose",
  lab: "compose",
  requires: [],
  checks: [declared, member, answers],
  solutions: [
    { name: "lecture", title: "As the lecture writes it", script: up(file()) },
    {
      name: "default",
      title: "The project's default network has the subnet",
      script: up(
        `services: {server: {image: server, ports: ["8080:8080"]}}\nnetworks: {default: {ipam: {config: [{subnet: ${SUBNET}}]}}}`,
      ),
    },
    {
      name: "among-others",
      title: "The second of two networks, with a fixed address, in docker-compose.yml",
      script: `mkdir -p ${FOLDER} && cd ${FOLDER} && cat > docker-compose.yml <<'Y'
services:
  server:
    image: server
    ports: ["8080:8080"]
    networks: {first: {}, second: {ipv4_address: 100.64.16.77}}
networks:
  first: {}
  second: {ipam: {config: [{subnet: ${SUBNET}, gateway: 100.64.16.1}]}}
Y
docker compose up -d && sleep 2`,
    },
    {
      name: "external",
      title: "A network made before, named as external",
      script: `docker network create --subnet ${SUBNET} before\n${up(`services: {server: {image: server, ports: ["8080:80", "8080:8080"], networks: [n]}}\nnetworks: {n: {external: true, name: before}}`).replace('"8080:80", ', "")}`,
    },
  ],
  wrongAnswers: [
    {
      name: "no-ipam",
      title: "Without a subnet",
      rejectedBy: "network-of-project",
      script: up('services: {server: {image: server, ports: ["8080:8080"]}}'),
    },
    {
      name: "other-subnet",
      title: "Another subnet",
      rejectedBy: "network-of-project",
      script: up(file("100.64.17.0/24")),
    },
    {
      name: "wider",
      title: "A wider subnet around it",
      rejectedBy: "network-of-project",
      script: up(file("100.64.0.0/16")),
    },
    {
      name: "not-a-member",
      title: "The service is in another network",
      rejectedBy: "server-in-it",
      script: `${up(file(SUBNET, '["8080:8080"]', "[other]"))}docker network create --subnet ${SUBNET} alone || true`,
    },
    {
      name: "not-published",
      title: "No port",
      rejectedBy: "server-answers",
      script: up(file(SUBNET, "[]")),
    },
    {
      name: "by-hand",
      title: "Without compose",
      rejectedBy: "server-in-it",
      script: `docker network create --subnet ${SUBNET} n; docker run -d --name server --network n -p 8080:8080 server; sleep 2`,
    },
  ],
};

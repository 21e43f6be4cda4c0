import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { words } from "../../core/text.ts";
import { firstHost, list } from "../../facts/model.ts";

const inHost = check({
  id: "host-network",
  title: {
    en: "A container runs in the host's own network namespace",
    ru: "Контейнер работает в сетевом пространстве имён самого хоста",
  },
  async run({ facts }) {
    const { containers, namespace } = firstHost(await facts());
    const found = containers.find(
      (each) => each.running && !each.paused && each.namespace?.inode === namespace.inode,
    );
    if (found !== undefined) return pass(undefined, found.name);
    const running = containers.filter(({ running: runs }) => runs);
    const told = running.map(
      ({ name, networks }) => words`${name}: ${list(Object.keys(networks))}`,
    );
    return fail(
      {
        en: "one without a namespace of its own",
        ru: "контейнер без собственного пространства имён",
      },
      list(told),
      "docker run -d --network host …",
    );
  },
});

const withNone = check({
  id: "none-network",
  title: {
    en: "A container runs with loopback and nothing else",
    ru: "Контейнер работает с одним лишь loopback",
  },
  async run({ facts }) {
    const { containers, namespace } = firstHost(await facts());
    const own = containers.filter(
      (each) => each.running && each.namespace && each.namespace.inode !== namespace.inode,
    );
    const links = (container: (typeof own)[number]) =>
      (container.namespace?.links ?? []).map(({ name }) => name);
    const found = own.find((container) => links(container).join() === "lo");
    if (found !== undefined) return pass(undefined, found.name);
    const told = own.map((container) => words`${container.name}: ${list(links(container))}`);
    return fail(
      { en: "one whose only interface is lo", ru: "контейнер с единственным интерфейсом lo" },
      list(told),
      "docker run -d --network none …",
    );
  },
});

const run = (options: string, name: string) =>
  `docker run -d --name ${name} ${options} busybox sleep infinity\n`;

export const hostAndNone: Exercise = {
  id: "drivers/host-and-none",
  title: {
    en: "No namespace of its own, and no network at all",
    ru: "Без своего пространства имён и совсем без сети",
  },
  lesson: "drivers",
  lab: "drivers",
  requires: [],
  checks: [inHost, withNone],
  solutions: [
    {
      name: "networks",
      title: "By the drivers' names",
      script: run("--network host", "a1") + run("--network none", "a2"),
    },
    {
      name: "shared",
      title: "One in another one's namespace, which is the host's",
      script:
        run("--network host", "a1") +
        run("--network container:a1", "a3") +
        run("--network none", "a2"),
    },
    {
      name: "compose",
      title: "Declared in a compose file",
      script: `mkdir -p /root/both && cd /root/both
        printf 'services:\\n  a: {image: busybox, command: sleep infinity, network_mode: host}\\n  b: {image: busybox, command: sleep infinity, network_mode: none}\\n' > compose.yaml
        docker compose up -d`,
    },
    {
      name: "disconnected",
      title: "Unplugged while it runs",
      script: `${run("--network host", "a1")}${run("", "a2")}docker network disconnect bridge a2`,
    },
  ],
  wrongAnswers: [
    {
      name: "only-host",
      title: "None is missing",
      rejectedBy: "none-network",
      script: run("--network host", "a1"),
    },
    {
      name: "only-none",
      title: "Host is missing",
      rejectedBy: "host-network",
      script: run("--network none", "a2"),
    },
    {
      name: "bridges",
      title: "Both in the default bridge",
      rejectedBy: "host-network",
      script: run("", "a1") + run("", "a2"),
    },
    {
      name: "named-so",
      title: "Networks of those names with the bridge driver",
      rejectedBy: "host-network",
      script: `docker network create hostnet; docker network create nonenet
        ${run("--network hostnet", "host")}${run("--network nonenet", "none")}`,
    },
    {
      name: "host-paused",
      title: "The one in the host's namespace is frozen",
      rejectedBy: "host-network",
      script: `${run("--network host", "a1")}${run("--network none", "a2")}docker pause a1`,
    },
    {
      name: "host-ended",
      title: "The one in the host's namespace has ended",
      rejectedBy: "host-network",
      script: `docker run -d --name a1 --network host busybox true; ${run("--network none", "a2")}`,
    },
    {
      name: "interface-added",
      title: "None, and a cable plugged in by hand",
      rejectedBy: "none-network",
      script: `${run("--network host", "a1")}${run("--network none", "a2")}
        ip link add near type veth peer name far netns $(docker inspect -f '{{.State.Pid}}' a2)`,
    },
  ],
};

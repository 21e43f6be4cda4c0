import {
  ComposeFile,
  projectOf,
  serviceContainers,
  startedWith,
} from "../../checks/compose-project.ts";
import type { RunningContainer } from "../../checks/containers.ts";
import { HOST_ADDRESS } from "../../checks/published-port.ts";
import { reachability } from "../../checks/reachability.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, ru } from "../../core/text.ts";
import { firstHost, list } from "../../facts/model.ts";

const FOLDER = "/root/compose/override-merge";
const BASE = `${FOLDER}/compose.yaml`;
const PORTS = [8080, 9090] as const;

const baseKept = check({
  id: "base-unchanged",
  title: {
    en: "compose.yaml is as it was: the additions are in another file",
    ru: "compose.yaml прежний: добавления в другом файле",
  },
  async run({ lab, signal }) {
    const read = await lab.host().hand().readFile(BASE, { signal });
    const expected = {
      en: `${BASE} with port 8080 alone, and no environment`,
      ru: `${BASE} с одним портом 8080 и без environment`,
    };
    if ("problem" in read) return fail(expected, `${BASE}: ${read.problem}`);
    const file = new ComposeFile(BASE, read.text);
    const server = (key: string) => file.get("services", "server", key);
    const hint = {
      en: "Put it into compose.override.yaml.",
      ru: "Перенесите это в compose.override.yaml.",
    };
    for (const key of ["environment", "env_file"]) {
      if (server(key) === undefined) continue;
      const where = file.where("services", "server", key);
      const set = `${key}: ${JSON.stringify(server(key))}`;
      return fail(expected, { en: `${where} says ${set}`, ru: `в ${where} сказано ${set}` }, hint);
    }
    const ports = JSON.stringify(server("ports") ?? []);
    const where = file.where("services", "server", "ports");
    if (ports.includes("9090")) {
      const actual = {
        en: `${where} says ports: ${ports}`,
        ru: `в ${where} сказано ports: ${ports}`,
      };
      return fail(expected, actual, hint);
    }
    return ports.includes("8080")
      ? pass()
      : fail(expected, { en: `${where} lacks port 8080`, ru: `в ${where} нет порта 8080` });
  },
});

const merged = check<RunningContainer>({
  id: "both-files-used",
  title: {
    en: "Service server runs, made of compose.yaml and of a second file",
    ru: "Сервис server работает и описан в compose.yaml и ещё в одном файле",
  },
  async run({ facts }) {
    const host = firstHost(await facts());
    const found = serviceContainers(host, "server").find((each) => each.running && each.namespace);
    const expected = {
      en: "a container of service server from two files, compose.yaml the first of them",
      ru: "контейнер сервиса server, описанного в двух файлах, и первый из них compose.yaml",
    };
    if (!found?.namespace) {
      const actual = { en: "no such service runs", ru: "такой сервис не работает" };
      return fail(expected, actual, "docker compose up -d");
    }
    const files = (found.labels["com.docker.compose.project.config_files"] ?? "").split(",");
    if (files.length > 1 && files[0] === BASE) {
      return pass({ ...found, namespace: found.namespace }, list(files));
    }
    const hint = {
      en: "compose takes compose.override.yaml beside compose.yaml by itself; others with -f, one after the other.",
      ru: "compose.override.yaml рядом с compose.yaml compose берёт сам; другие файлы — через -f, один за другим.",
    };
    const actual = {
      en: en`${projectOf(found)} was made of: ${list(files)}`,
      ru: ru`файлы проекта ${projectOf(found)}: ${list(files)}`,
    };
    return fail(expected, actual, hint);
  },
});

const ports = reachability({
  id: "ports-added",
  title: {
    en: "Ports 8080 and 9090 of the host lead to it: lists are joined",
    ru: "Порты 8080 и 9090 хоста ведут к нему: списки объединяются",
  },
  needs: { merged },
  ways: ({ merged: { pid } }) =>
    PORTS.map((port) => ({
      from: { label: "outside", at: { kind: "outside" } },
      to: { label: "server", at: { kind: "pid", pid }, address: HOST_ADDRESS },
      over: `tcp/${port}` as const,
      reaches: true,
    })),
});

const environment = check({
  id: "environment-added",
  title: { en: "LOG_LEVEL=debug is in its environment", ru: "В его окружении LOG_LEVEL=debug" },
  needs: { merged },
  run: ({ lab, merged: server, signal }) =>
    startedWith(lab.host(), server, "LOG_LEVEL=debug", signal),
});

const enter = `cd ${FOLDER}\n`;
const override = (text: string, name = "compose.override.yaml", up = "docker compose up -d") =>
  `${enter}cat > ${name} <<'Y'\n${text}\nY\n${up} && sleep 2\n`;
const additions =
  'services:\n  server:\n    ports: ["9090:8080"]\n    environment: {LOG_LEVEL: debug}';

export const overrideMerge: Exercise = {
  id: "compose/override-merge",
  title: { en: "A second file over the first", ru: "Второй файл поверх первого" },
  lesson: "compose",
  lab: "compose",
  requires: [],
  checks: [baseKept, merged, ports, environment],
  solutions: [
    { name: "override", title: "compose.override.yaml", script: override(additions) },
    {
      name: "named",
      title: "Another file, named with -f",
      script: override(
        additions,
        "debug.yaml",
        "docker compose -f compose.yaml -f debug.yaml up -d",
      ),
    },
    {
      name: "comments",
      title: "compose.yaml has notes on what the other file adds",
      script: `${enter}printf '# environment, LOG_LEVEL and port 9090 come from the other file\\n' >> compose.yaml\n${override(additions)}`,
    },
    {
      name: "dot-env",
      title: "Both files named in .env",
      script: `${enter}echo COMPOSE_FILE=compose.yaml:debug.yaml > .env\n${override(additions, "debug.yaml")}`,
    },
    {
      name: "environment-variable",
      title: "Both files named in COMPOSE_FILE",
      script: override(
        additions,
        "debug.yaml",
        "COMPOSE_FILE=compose.yaml:debug.yaml docker compose up -d",
      ),
    },
  ],
  wrongAnswers: [
    {
      name: "base-only",
      title: "The first file alone",
      rejectedBy: "both-files-used",
      script: `${enter}docker compose up -d && sleep 2`,
    },
    {
      name: "edited",
      title: "The first file is changed",
      rejectedBy: "base-unchanged",
      script: `${enter}cat > compose.yaml <<'Y'\nservices:\n  server:\n    image: server\n    ports: ["8080:8080", "9090:8080"]\n    environment: {LOG_LEVEL: debug}\nY\ndocker compose up -d && sleep 2\n`,
    },
    {
      name: "not-applied",
      title: "The override is written after the start",
      rejectedBy: "both-files-used",
      script: `${enter}docker compose up -d\n${override(additions, "compose.override.yaml", "true")}`,
    },
    {
      name: "no-port",
      title: "The environment alone",
      rejectedBy: "ports-added",
      script: override("services: {server: {environment: {LOG_LEVEL: debug}}}"),
    },
    {
      name: "no-environment",
      title: "The port alone",
      rejectedBy: "environment-added",
      script: override('services: {server: {ports: ["9090:8080"]}}'),
    },
    {
      name: "replaced",
      title: "The list of ports is replaced",
      rejectedBy: "ports-added",
      script: override(
        'services: {server: {ports: !override ["9090:8080"], environment: {LOG_LEVEL: debug}}}',
      ),
    },
    {
      name: "other-service",
      title: "The additions are another service's",
      rejectedBy: "ports-added",
      script: override(
        'services: {other: {image: server, ports: ["9090:8080"], environment: {LOG_LEVEL: debug}}}',
      ),
    },
  ],
};

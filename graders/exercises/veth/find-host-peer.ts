import { containerRuns } from "../../checks/containers.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { cablesOf, firstHost } from "../../facts/model.ts";

export const ANSWER_FILE = "/root/veth/find-host-peer/answer";
const MAX_BYTES = 4096;

const webRuns = containerRuns("web", "docker run -d --name web nginx");

const answered = check<string>({
  id: "answer-given",
  title: { en: `The answer is in ${ANSWER_FILE}`, ru: `Ответ лежит в ${ANSWER_FILE}` },
  async run({ lab, signal }) {
    const file = await lab.host().hand().readFile(ANSWER_FILE, { maxBytes: MAX_BYTES, signal });
    const expected = { en: "a file with the name of an interface", ru: "файл с именем интерфейса" };
    const write = `mkdir -p ${ANSWER_FILE.replace("/answer", "")}; echo`;
    const hint = {
      en: `Write it: ${write} NAME > ${ANSWER_FILE}`,
      ru: `Запишите его: ${write} ИМЯ > ${ANSWER_FILE}`,
    };
    if ("problem" in file) return fail(expected, `${ANSWER_FILE}: ${file.problem}`, hint);
    const text = file.text.trim();
    if (/^[^\s/]{1,15}$/.test(text)) return pass(text, text);
    return fail(
      expected,
      text === ""
        ? { en: "the file is empty", ru: "файл пуст" }
        : {
            en: `${JSON.stringify(text.slice(0, 60))} is no interface's name`,
            ru: `${JSON.stringify(text.slice(0, 60))} — не имя интерфейса`,
          },
    );
  },
});

const right = check({
  id: "names-the-peer",
  title: {
    en: "It names the host's end of the cable of web's eth0",
    ru: "В нём назван хостовый конец кабеля, на котором висит eth0 контейнера web",
  },
  needs: { web: webRuns, answer: answered },
  async run({ facts, web, answer }) {
    const { namespace, containers } = firstHost(await facts());
    const cable = cablesOf(web.namespace, [namespace]).find(({ inside }) => inside === "eth0");
    const expected = { en: "the far end of web's eth0", ru: "другой конец eth0 контейнера web" };
    if (cable === undefined) {
      return fail(expected, {
        en: "web's eth0 has no far end on the host",
        ru: "у eth0 контейнера web нет другого конца на хосте",
      });
    }
    const name = answer.replace(/@.*$/, "");
    if (name === cable.peer.name) return pass();
    const hint = {
      en: "ip -d link in web's namespace shows eth0@if and a number: the index of its far end on the host.",
      ru: "ip -d link в пространстве имён web показывает eth0@if и число: это индекс другого конца на хосте.",
    };
    const link = namespace.links.find((each) => each.name === name);
    if (link === undefined) {
      const actual = {
        en: `the host has no interface ${name}`,
        ru: `интерфейса ${name} на хосте нет`,
      };
      return fail(expected, actual, hint);
    }
    const owner = containers.find(
      (each) =>
        each.namespace && cablesOf(each.namespace, [namespace]).some(({ peer }) => peer === link),
    );
    const whose =
      owner === undefined
        ? { en: `${name} is not web's`, ru: `${name} ведёт не к web` }
        : { en: `${name} is ${owner.name}'s`, ru: `${name} ведёт к ${owner.name}` };
    return fail(expected, whose, hint);
  },
});

const write = (value: string) => `mkdir -p /root/veth/find-host-peer; ${value} > ${ANSWER_FILE}\n`;

export const findHostPeer: Exercise = {
  id: "veth/find-host-peer",
  title: { en: "Which cable is web's", ru: "Какой кабель ведёт к web" },
  lesson: "veth",
  lab: "veth",
  requires: [],
  checks: [webRuns, answered, right],
  solutions: [
    {
      name: "by-index",
      title: "By the index that eth0 names",
      script: `index=$(docker exec web cat /sys/class/net/eth0/iflink)
        ${write('ip -o link | sed -n "s/^$index: \\([^@:]*\\)[@:].*/\\1/p"')}`,
    },
    {
      name: "by-bridge-table",
      title: "By the port behind which the bridge has learnt web's address",
      script: `docker exec web ping -c1 -W1 172.17.0.1 >/dev/null
        mac=$(docker inspect -f '{{.NetworkSettings.MacAddress}}' web)
        ${write("bridge fdb show br docker0 | grep -i \"^$mac\" | grep -v self | cut -d' ' -f3 | head -1")}`,
    },
    {
      name: "as-ip-shows-it",
      title: "With the part behind @ that ip shows",
      script: `index=$(docker exec web cat /sys/class/net/eth0/iflink)
        ${write('ip -o link | sed -n "s/^$index: \\([^:]*\\):.*/\\1/p"')}`,
    },
  ],
  wrongAnswers: [
    {
      name: "inside-name",
      title: "The name inside",
      rejectedBy: "names-the-peer",
      script: write("echo eth0"),
    },
    {
      name: "bridge",
      title: "The bridge",
      rejectedBy: "names-the-peer",
      script: write("echo docker0"),
    },
    {
      name: "empty",
      title: "An empty file",
      rejectedBy: "answer-given",
      script: write("printf ''"),
    },
    {
      name: "guess",
      title: "A name that nothing has",
      rejectedBy: "names-the-peer",
      script: write("echo veth0123456"),
    },
    {
      name: "other-container",
      title: "The cable of another container",
      rejectedBy: "names-the-peer",
      script: `docker run -d --name other nginx; index=$(docker exec other cat /sys/class/net/eth0/iflink)
        ${write('ip -o link | sed -n "s/^$index: \\([^@:]*\\)[@:].*/\\1/p"')}`,
    },
    {
      name: "everything",
      title: "All names at once",
      rejectedBy: "answer-given",
      script: write("ip -o link | cut -d' ' -f2"),
    },
    {
      name: "fifo",
      title: "A pipe that nobody writes to",
      rejectedBy: "answer-given",
      script: `mkdir -p /root/veth/find-host-peer; mkfifo ${ANSWER_FILE}`,
    },
    {
      name: "link-out",
      title: "A link out of the lab",
      rejectedBy: "answer-given",
      script: `mkdir -p /root/veth/find-host-peer; ln -s /proc/1/root/etc/hostname ${ANSWER_FILE}`,
    },
    {
      name: "made-anew",
      title: "The answer is of a web that is gone",
      rejectedBy: "names-the-peer",
      script: `index=$(docker exec web cat /sys/class/net/eth0/iflink)
        ${write('ip -o link | sed -n "s/^$index: \\([^@:]*\\)[@:].*/\\1/p"')}docker rm -f web; docker run -d --name web nginx`,
    },
  ],
};

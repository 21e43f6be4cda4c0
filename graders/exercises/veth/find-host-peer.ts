import { containerRuns } from "../../checks/containers.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { cablesOf, firstHost } from "../../facts/model.ts";

export const ANSWER_FILE = "/root/veth/find-host-peer/answer";
const MAX_BYTES = 4096;

const webRuns = containerRuns("web", "docker run -d --name web nginx");

const answered = check<string>({
  id: "answer-given",
  title: `The answer is in ${ANSWER_FILE}`,
  async run({ lab, signal }) {
    const file = await lab.host().hand().readFile(ANSWER_FILE, { maxBytes: MAX_BYTES, signal });
    const expected = "a file with the name of an interface";
    const hint = `Write it: mkdir -p ${ANSWER_FILE.replace("/answer", "")}; echo NAME > ${ANSWER_FILE}`;
    if ("problem" in file) return fail(expected, `${ANSWER_FILE}: ${file.problem}`, hint);
    const text = file.text.trim();
    if (/^[^\s/]{1,15}$/.test(text)) return pass(text, text);
    return fail(
      expected,
      text === ""
        ? "the file is empty"
        : `${JSON.stringify(text.slice(0, 60))} is no interface's name`,
    );
  },
});

const right = check({
  id: "names-the-peer",
  title: "It names the host's end of the cable of web's eth0",
  needs: { web: webRuns, answer: answered },
  async run({ facts, web, answer }) {
    const { namespace, containers } = firstHost(await facts());
    const cable = cablesOf(web.namespace, [namespace]).find(({ inside }) => inside === "eth0");
    const expected = "the far end of web's eth0";
    if (cable === undefined) return fail(expected, "web's eth0 has no far end on the host");
    const name = answer.replace(/@.*$/, "");
    if (name === cable.peer.name) return pass();
    const hint =
      "ip -d link in web's namespace shows eth0@if and a number: the index of its far end on the host.";
    const link = namespace.links.find((each) => each.name === name);
    if (link === undefined) return fail(expected, `the host has no interface ${name}`, hint);
    const owner = containers.find(
      (each) =>
        each.namespace && cablesOf(each.namespace, [namespace]).some(({ peer }) => peer === link),
    );
    const whose = owner === undefined ? "is not web's" : `is ${owner.name}'s`;
    return fail(expected, `${name} ${whose}`, hint);
  },
});

const write = (value: string) => `mkdir -p /root/veth/find-host-peer; ${value} > ${ANSWER_FILE}\n`;

export const findHostPeer: Exercise = {
  id: "veth/find-host-peer",
  title: "Which cable is web's",
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

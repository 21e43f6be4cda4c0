import {
  askFromOutside,
  bridgePorts,
  check,
  containerRuns,
  type Exercise,
  edge,
  en,
  fail,
  firstHost,
  HOST_ADDRESS,
  isUp,
  linkNamed,
  list,
  pass,
  ru,
  whyNot,
} from "patchbay/graders";

const PORT = 8080;

const webRuns = containerRuns("web", "docker run -d --name web --network shop -p 8080:80 nginx");

/** An edge: it stays passed once it was seen, since the cable is to be back at the end. */
const cableWasOut = edge({
  id: "cable-was-out",
  title: { en: "web was seen running with no cable", ru: "замечено, как web работал без кабеля" },
  needs: { web: webRuns },
  async run({ facts, web }) {
    const { namespace } = firstHost(await facts());
    const plugged = bridgePorts(web.namespace, namespace).filter(({ inside, outside }) =>
      [linkNamed(web.namespace, inside), linkNamed(namespace, outside)].every(
        (end) => end !== undefined && isUp(end),
      ),
    );
    if (plugged.length === 0) return pass();
    const bridges = list(plugged.map(({ bridge }) => bridge));
    return fail(
      {
        en: "for a second or more, no interface of web is up and in a bridge",
        ru: "секунду или дольше ни один включённый интерфейс web не подключён к мосту",
      },
      {
        en: en`web is plugged into ${bridges}, and was never seen otherwise`,
        ru: ru`web подключён к ${bridges}, и отключённым его ни разу не видели`,
      },
      {
        en: "Let the lab be watched while you do it: graders watch, or the automatic check of the page.",
        ru: "Пусть за лабораторией в это время следят: graders watch или автоматическая проверка на странице.",
      },
    );
  },
});

const answersAgain = check({
  id: "answers-again",
  title: {
    en: `web answers the world on port ${PORT}`,
    ru: `web отвечает внешнему миру на порту ${PORT}`,
  },
  needs: { web: webRuns },
  async run({ lab, web, signal }) {
    const answer = await askFromOutside(lab, PORT, web, signal);
    if (answer.arrived && answer.status === 200) return pass();
    const place = `${HOST_ADDRESS}:${PORT}`;
    return fail(
      { en: `${place} is answered by web`, ru: `на ${place} отвечает web` },
      whyNot(answer),
    );
  },
});

const names = `set -e
port=$(ip -j link | jq -r '.[] | select(.ifindex == '$(docker exec web cat /sys/class/net/eth0/iflink)') | .ifname')
bridge=br-$(docker network inspect -f '{{.Id}}' shop | cut -c1-12)
`;

export default [
  {
    id: "drills/cable-out",
    title: {
      en: "A cable that is pulled out, and put back",
      ru: "Кабель выдернут и воткнут обратно",
    },
    lesson: "drills",
    lab: "drills",
    requires: [],
    checks: [webRuns, cableWasOut, answersAgain],
    solutions: [
      {
        name: "link-down",
        title: "The host's end is taken down and up again",
        script: `${names}ip link set $port down; sleep 2; ip link set $port up`,
      },
      {
        name: "out-of-bridge",
        title: "The host's end leaves the bridge and joins it again",
        script: `${names}ip link set $port nomaster; sleep 2; ip link set $port master $bridge`,
      },
      {
        name: "disconnect",
        title: "Docker takes the cable away, and lays another one",
        script: "docker network disconnect shop web; sleep 2; docker network connect shop web",
      },
    ],
    wrongAnswers: [
      {
        name: "still-out",
        title: "The cable stays out",
        rejectedBy: "answers-again",
        script: `${names}ip link set $port down; sleep 2`,
      },
      {
        name: "restarted",
        title: "web is restarted: a container that does not run has nothing to be plugged in",
        rejectedBy: "cable-was-out",
        script: "docker restart -t 0 web; sleep 2",
      },
      {
        name: "other-cable",
        title: "Another container's cable",
        rejectedBy: "cable-was-out",
        script: `docker run -d --name other --network shop busybox sleep infinity
port=$(ip -j link | jq -r '.[] | select(.ifindex == '$(docker exec other cat /sys/class/net/eth0/iflink)') | .ifname')
ip link set $port down; sleep 2; ip link set $port up`,
      },
      {
        name: "filtered",
        title: "A rule drops what web says, and goes again",
        rejectedBy: "cable-was-out",
        script: "iptables -I DOCKER-USER -j DROP; sleep 2; iptables -D DOCKER-USER -j DROP",
      },
      {
        name: "paused",
        title: "web is frozen for a while",
        rejectedBy: "cable-was-out",
        script: "docker pause web; sleep 2; docker unpause web",
      },
    ],
  },
] satisfies Exercise[];

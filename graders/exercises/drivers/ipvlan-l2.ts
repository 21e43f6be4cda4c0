import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { neighbourReaches, onUnderlay } from "./underlay.ts";

const members = onUnderlay("ipvlan");
const reached = neighbourReaches(members);

const sameMac = check({
  id: "same-mac",
  title: { en: "It has its parent's MAC address", ru: "У него MAC-адрес родительского интерфейса" },
  needs: { reached },
  run({ reached: { mac, parentMac } }) {
    if (mac === parentMac) return pass(undefined, mac);
    return fail({ en: `the host's, ${parentMac}`, ru: `адрес хоста, ${parentMac}` }, mac);
  },
});

const network = (mode: string) =>
  `docker network create -d ipvlan -o parent=eth0 -o ipvlan_mode=${mode} --subnet 10.77.0.0/24 --gateway 10.77.0.1 --ip-range 10.77.0.128/25 wide\n`;
const run = (where: string) => `docker run -d --name web --network ${where} nginx\n`;

export const ipvlanL2: Exercise = {
  id: "drivers/ipvlan-l2",
  title: {
    en: "A container on the underlay with the host's MAC address",
    ru: "Контейнер в той же сети с MAC-адресом хоста",
  },
  lesson: "drivers",
  lab: "drivers",
  requires: ["ipvlan"],
  checks: [members, reached, sameMac],
  solutions: [
    { name: "driver", title: "By Docker's driver", script: network("l2") + run("wide") },
    {
      name: "by-hand",
      title: "By ip",
      script: `docker run -d --name web --network none nginx; pid=$(docker inspect -f '{{.State.Pid}}' web)
        ip link add iv0 link eth0 type ipvlan mode l2; ip link set iv0 netns $pid
        nsenter -t $pid -n ip addr add 10.77.0.140/24 dev iv0; nsenter -t $pid -n ip link set iv0 up`,
    },
  ],
  wrongAnswers: [
    {
      name: "macvlan",
      title: "The other driver",
      rejectedBy: "on-the-underlay",
      script: `docker network create -d macvlan -o parent=eth0 --subnet 10.77.0.0/24 wide\n${run("wide")}`,
    },
    {
      name: "bridge",
      title: "The default bridge",
      rejectedBy: "on-the-underlay",
      script: run("bridge"),
    },
    {
      name: "host",
      title: "The host's namespace",
      rejectedBy: "on-the-underlay",
      script: run("host"),
    },
    {
      name: "other-subnet",
      title: "An address that nobody outside knows",
      rejectedBy: "on-the-underlay",
      script: `docker network create -d ipvlan -o parent=eth0 --subnet 10.88.0.0/24 wide\n${run("wide")}`,
    },
    {
      name: "filtered",
      title: "The container drops what comes",
      rejectedBy: "neighbour-reaches-it",
      script: `${network("l2")}${run("wide")}nsenter -t $(docker inspect -f '{{.State.Pid}}' web) -n iptables -A INPUT -p icmp -j DROP`,
    },
  ],
};

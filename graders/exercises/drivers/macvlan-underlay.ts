import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { collectHost } from "../../facts/collect.ts";
import { neighbourReaches, onUnderlay } from "./underlay.ts";

const members = onUnderlay("macvlan");
const reached = neighbourReaches(members);

const ownMac = check({
  id: "own-mac",
  title: {
    en: "MAC and IP address are the container's own, as the neighbour sees them",
    ru: "Сосед видит собственные MAC- и IP-адрес контейнера",
  },
  needs: { reached },
  async run({ lab, signal, reached: member }) {
    const expected = {
      en: `the neighbour knows ${member.address} by ${member.mac}, and that is not the host's`,
      ru: `сосед знает ${member.address} под MAC-адресом ${member.mac}, и это не адрес хоста`,
    };
    // As it is after it was reached.
    const { namespace } = await collectHost(lab.host("neighbour1"), signal);
    const seen = namespace.neighbours.find((each) => each.address === member.address)?.mac;
    if (seen === member.mac && member.mac !== member.parentMac) return pass(undefined, member.mac);
    const { parentMac } = member;
    return fail(expected, {
      en: `it knows it by ${seen ?? "no MAC address"}; the host's eth0 has ${parentMac}`,
      ru: `MAC-адрес, который он знает: ${seen ?? "никакого"}; у eth0 хоста ${parentMac}`,
    });
  },
});

const network = (options = "") =>
  `docker network create -d macvlan -o parent=eth0 ${options} --subnet 10.77.0.0/24 --gateway 10.77.0.1 --ip-range 10.77.0.128/25 wide\n`;
const run = (network_: string, options = "") =>
  `docker run -d --name web --network ${network_} ${options} nginx\n`;

export const macvlanUnderlay: Exercise = {
  id: "drivers/macvlan-underlay",
  title: { en: "A container on the network under the host", ru: "Контейнер в сети под хостом" },
  lesson: "drivers",
  lab: "drivers",
  requires: ["macvlan"],
  checks: [members, reached, ownMac],
  solutions: [
    { name: "driver", title: "By Docker's driver", script: network() + run("wide") },
    {
      name: "fixed-address",
      title: "With an address of choice",
      script: network() + run("wide", "--ip 10.77.0.200"),
    },
    {
      name: "private",
      title: "In private mode, with a MAC address of choice",
      script: network("-o macvlan_mode=private") + run("wide", "--mac-address 02:42:0a:4d:00:aa"),
    },
    {
      name: "compose",
      title: "Declared in a compose file",
      script: `mkdir -p /root/wide && cd /root/wide && cat > compose.yaml <<'Y'
services: {web: {image: nginx, networks: [wide]}}
networks:
  wide:
    driver: macvlan
    driver_opts: {parent: eth0}
    ipam: {config: [{subnet: 10.77.0.0/24, gateway: 10.77.0.1, ip_range: 10.77.0.128/25}]}
Y
docker compose up -d`,
    },
    {
      name: "by-hand",
      title: "A macvlan interface made by hand, moved into a container",
      script: `docker run -d --name web --network none nginx; pid=$(docker inspect -f '{{.State.Pid}}' web)
        ip link add mv0 link eth0 type macvlan mode bridge; ip link set mv0 netns $pid
        nsenter -t $pid -n ip addr add 10.77.0.140/24 dev mv0; nsenter -t $pid -n ip link set mv0 up`,
    },
  ],
  wrongAnswers: [
    {
      name: "hosts-address",
      title: "The host's own address, once more",
      rejectedBy: "on-the-underlay",
      script: `${network()}${run("wide")}pid=$(docker inspect -f '{{.State.Pid}}' web)
        nsenter -t $pid -n ip addr flush dev eth0; nsenter -t $pid -n ip addr add 10.77.0.11/24 dev eth0`,
    },
    {
      name: "published-port",
      title: "A published port in the default bridge",
      rejectedBy: "on-the-underlay",
      script: "docker run -d --name web -p 80:80 nginx",
    },
    {
      name: "host-network",
      title: "The host's own namespace",
      rejectedBy: "on-the-underlay",
      script: run("host"),
    },
    {
      name: "other-subnet",
      title: "An address that nobody outside knows",
      rejectedBy: "on-the-underlay",
      script: `docker network create -d macvlan -o parent=eth0 --subnet 10.88.0.0/24 wide\n${run("wide")}`,
    },
    {
      name: "ended",
      title: "The container has ended",
      rejectedBy: "on-the-underlay",
      script: `${network()}${run("wide")}docker stop -t 0 web`,
    },
    {
      name: "filtered",
      title: "The container drops what comes",
      rejectedBy: "neighbour-reaches-it",
      script: `${network()}${run("wide")}nsenter -t $(docker inspect -f '{{.State.Pid}}' web) -n iptables -A INPUT -p icmp -j DROP`,
    },
    {
      name: "host-answers",
      title: "The host takes the address as well, and answers",
      rejectedBy: "on-the-underlay",
      script: `${network()}${run("wide", "--ip 10.77.0.150")}ip addr add 10.77.0.150/24 dev eth0
        nsenter -t $(docker inspect -f '{{.State.Pid}}' web) -n ip link set eth0 arp off`,
    },
    {
      name: "bridge-in-subnet",
      title: "A bridge network with the underlay's addresses",
      rejectedBy: "on-the-underlay",
      script: `docker network create --subnet 10.77.0.128/25 wide\n${run("wide")}`,
    },
  ],
};

import type { WrongAnswer } from "../../../core/exercise.ts";
import { names, start } from "./solutions.ts";

const OPEN = "iptables -I DOCKER-USER -j ACCEPT\n";

const wrong = (name: string, title: string, rejectedBy: string, script: string): WrongAnswer => ({
  name,
  title,
  rejectedBy,
  script: `set -e${start}${names}${script}`,
});

const bare = (name: string, title: string, rejectedBy: string, script: string): WrongAnswer => ({
  name,
  title,
  rejectedBy,
  script: `set -e\n${script}`,
});

const PING = "fresh-container-reaches-c1";

export const wrongAnswers: readonly WrongAnswer[] = [
  wrong("start-state", "Networks and containers, and no way between them", PING, ""),
  bare(
    "no-second-network",
    "The second network was never made",
    "networks-exist",
    `
docker network create my-bridge-001
docker run -d --name c1 --network my-bridge-001 busybox sleep infinity
`,
  ),
  bare(
    "macvlan-network",
    "The second network has another driver",
    "networks-exist",
    `
docker network create my-bridge-001
docker network create -d macvlan -o parent=eth0 my-bridge-002
docker run -d --name c1 --network my-bridge-001 busybox sleep infinity
`,
  ),
  bare(
    "c1-in-default-network",
    "c1 was started without --network",
    "c1-in-one-network",
    `
docker network create my-bridge-001
docker network create my-bridge-002
docker run -d --name c1 busybox sleep infinity
${OPEN}`,
  ),
  wrong(
    "c1-stopped",
    "The rule is right and c1 does not run",
    "c1-runs",
    `
${OPEN}docker stop -t 0 c1`,
  ),
  wrong(
    "c1-paused",
    "The rule is right and c1 is frozen",
    "c1-runs",
    `
${OPEN}docker pause c1`,
  ),
  wrong(
    "c1-connected",
    "c1 joins the second network",
    "c1-in-one-network",
    "docker network connect my-bridge-002 c1",
  ),
  wrong(
    "c1-moved",
    "c1 leaves for the second network",
    "c1-in-one-network",
    `
docker network connect my-bridge-002 c1
docker network disconnect my-bridge-001 c1`,
  ),
  wrong(
    "c2-connected",
    "c2 joins the first network",
    "c2-in-one-network",
    "docker network connect my-bridge-001 c2",
  ),
  wrong(
    "c1-replugged",
    "c1's cable is plugged into the other bridge by hand",
    "c1-in-one-network",
    `
${OPEN}port=$(ip -j link | jq -r '.[] | select(.master == "'$br1'") | .ifname')
ip link set $port master $br2`,
  ),
  wrong(
    "c2-second-cable",
    "c2 gets a second cable, into the first bridge, by hand",
    "c2-in-one-network",
    `
${OPEN}ip link add sneak type veth peer name eth9 netns $(docker inspect -f '{{.State.Pid}}' c2)
ip link set sneak master $br1 up`,
  ),
  wrong(
    "one-address-only",
    "A rule for c2's address: the next container is left out",
    PING,
    `
iptables -I DOCKER-USER -s $c2 -j ACCEPT
iptables -I DOCKER-USER -d $c2 -j ACCEPT`,
  ),
  wrong(
    "one-direction",
    "Requests may pass, replies may not",
    PING,
    "iptables -I DOCKER-USER -i $br2 -o $br1 -j ACCEPT",
  ),
  wrong(
    "every-second-packet",
    "Half of the packets get through",
    PING,
    `
iptables -I DOCKER-USER -m statistic --mode nth --every 2 --packet 0 -j ACCEPT`,
  ),
  wrong(
    "host-answers",
    "The host redirects the ping to itself",
    PING,
    "iptables -t nat -I PREROUTING -p icmp -d $c1 -j REDIRECT",
  ),
  wrong("host-takes-address", "The host takes c1's address", PING, "ip addr add $c1/32 dev lo"),
  wrong(
    "static-neighbour",
    "A written neighbour entry in place of a way",
    PING,
    `
mac=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}' c1)
ip neigh replace $c1 lladdr $mac dev $br2 nud permanent
sysctl -qw net.ipv4.conf.$br2.proxy_arp=1`,
  ),
  wrong(
    "other-protocol",
    "Connections may pass, pings may not",
    PING,
    "iptables -I DOCKER-USER -p tcp -j ACCEPT; iptables -I DOCKER-USER -p udp -j ACCEPT",
  ),
  wrong(
    "other-container-answers",
    "Another container is given c1's traffic",
    PING,
    `
docker run -d --name double --network my-bridge-002 busybox sleep infinity
double=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' double)
iptables -t nat -I PREROUTING -d $c1 -p icmp -j DNAT --to $double
iptables -t nat -I POSTROUTING -d $double -p icmp -j MASQUERADE`,
  ),
  wrong(
    "route-only",
    "A route that was there anyway, and forwarding that was on",
    PING,
    `
sysctl -qw net.ipv4.ip_forward=1
ip route replace $c1/32 dev $br1`,
  ),
  wrong(
    "published-port",
    "A published port is a way in for TCP, not for ping",
    PING,
    `
docker rm -f c1
docker run -d --name c1 --network my-bridge-001 -p 8080:80 busybox sleep infinity`,
  ),
  wrong(
    "lying-tools",
    "ping, docker and the image busybox say what one likes to hear",
    PING,
    `
printf '#!/bin/sh\\necho "10 packets transmitted, 10 packets received, 0%% packet loss"\\n' >/usr/local/bin/ping
chmod +x /usr/local/bin/ping
cp /usr/local/bin/ping /usr/local/bin/iptables-save
printf 'FROM busybox\\nCOPY ping /bin/ping\\n' >/usr/local/bin/Dockerfile
cd /usr/local/bin && DOCKER_BUILDKIT=0 docker build -t busybox . >/dev/null`,
  ),
  wrong(
    "host-network-namespace",
    "c1 runs in the host's namespace",
    "c1-in-one-network",
    `
docker rm -f c1
docker run -d --name c1 --network host busybox sleep infinity`,
  ),
];

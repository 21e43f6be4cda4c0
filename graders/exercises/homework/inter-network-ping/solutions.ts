import type { Answer } from "../../../core/exercise.ts";

/** The state that the homework starts from: two networks, a container in each. */
export const start = `
docker network create my-bridge-001 >/dev/null
docker network create my-bridge-002 >/dev/null
docker run -d --name c1 --network my-bridge-001 busybox sleep infinity >/dev/null
docker run -d --name c2 --network my-bridge-002 busybox sleep infinity >/dev/null
`;

/** Names that the scripts use: bridges, subnets, the containers' addresses. */
export const names = `
br1=br-$(docker network inspect -f '{{.Id}}' my-bridge-001 | cut -c1-12)
br2=br-$(docker network inspect -f '{{.Id}}' my-bridge-002 | cut -c1-12)
net1=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' my-bridge-001)
net2=$(docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' my-bridge-002)
gw2=$(docker network inspect -f '{{(index .IPAM.Config 0).Gateway}}' my-bridge-002)
c1=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' c1)
c2=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' c2)
`;

/** Engines from 28 on drop in the raw table what is routed to a container's address; older ones have no rule there. */
const raw = `
iptables -t raw -F PREROUTING
`;

const answer = (name: string, title: string, script: string): Answer => ({
  name,
  title,
  script: `set -e${start}${names}${raw}${script}`,
});

export const solutions: readonly Answer[] = [
  answer(
    "docker-user-bridges",
    "Accept both directions between the two bridges in DOCKER-USER",
    `
iptables -I DOCKER-USER -i $br2 -o $br1 -j ACCEPT
iptables -I DOCKER-USER -i $br1 -o $br2 -j ACCEPT
`,
  ),
  answer(
    "docker-user-subnets",
    "Accept by subnet one way, and established connections the other way",
    `
iptables -I DOCKER-USER -s $net2 -d $net1 -j ACCEPT
iptables -I DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
`,
  ),
  answer(
    "isolation-return",
    "Leave the isolation chain before it sends packets to its second stage",
    "iptables -I DOCKER-ISOLATION-STAGE-1 -j RETURN\n",
  ),
  answer(
    "isolation-flushed",
    "Empty the isolation chains",
    `
iptables -F DOCKER-ISOLATION-STAGE-1
iptables -F DOCKER-ISOLATION-STAGE-2
`,
  ),
  answer(
    "isolation-rules-deleted",
    "Take away the two rules of the second stage that keep these networks apart",
    `
iptables -D DOCKER-ISOLATION-STAGE-2 -o $br1 -j DROP
iptables -D DOCKER-ISOLATION-STAGE-2 -o $br2 -j DROP
`,
  ),
  answer(
    "forward-first",
    "Accept ICMP at the head of FORWARD, before any chain of Docker's",
    "iptables -I FORWARD -p icmp -j ACCEPT\n",
  ),
  answer(
    "nftables",
    "The same accept, written with nft",
    `
nft insert rule ip filter DOCKER-USER iifname $br2 oifname $br1 accept
nft insert rule ip filter DOCKER-USER iifname $br1 oifname $br2 accept
`,
  ),
  answer(
    "router-container",
    "A router container with a leg in each network, and a host route through it",
    `
docker run -d --name router --network my-bridge-002 --cap-add NET_ADMIN \\
  --sysctl net.ipv4.ip_forward=1 busybox sleep infinity >/dev/null
docker network connect my-bridge-001 router
router=$(docker inspect -f '{{(index .NetworkSettings.Networks "my-bridge-002").IPAddress}}' router)
pid=$(docker inspect -f '{{.State.Pid}}' router)
nsenter -t $pid -n iptables -t nat -A POSTROUTING -d $net1 -j MASQUERADE
ip route add $c1/32 via $router
`,
  ),
  answer(
    "router-namespace",
    "A network namespace made by hand routes between the two bridges",
    `
ip netns add router
for n in 1 2; do
  eval "bridge=\\$br$n net=\\$net$n"
  ip link add leg$n type veth peer name eth$n netns router
  ip link set leg$n master $bridge up
  ip -n router addr add \${net%.0.0/16}.200.1/16 dev eth$n
  ip -n router link set eth$n up
done
ip netns exec router sysctl -qw net.ipv4.ip_forward=1
ip netns exec router iptables -t nat -A POSTROUTING -o eth1 -j MASQUERADE
ip route add $c1/32 via \${net2%.0.0/16}.200.1
`,
  ),
  answer(
    "images-removed",
    "The same accept by subnets both ways, and containers from an image of one's own, the course's removed",
    `
iptables -I DOCKER-USER -s $net2 -d $net1 -j ACCEPT
iptables -I DOCKER-USER -s $net1 -d $net2 -j ACCEPT
docker rm -f c1 c2 >/dev/null
box=$(docker create busybox)
docker export $box | docker import - mine >/dev/null
docker rm $box >/dev/null
docker rmi -f busybox nginx >/dev/null
docker run -d --name c1 --network my-bridge-001 mine sleep infinity >/dev/null
docker run -d --name c2 --network my-bridge-002 mine sleep infinity >/dev/null
`,
  ),
  {
    name: "compose",
    title: "Declared in a compose file, with names for the bridges that the rules use",
    script: `set -e
mkdir -p /root/two && cd /root/two && cat > compose.yaml <<'Y'
services:
  c1: {image: busybox, container_name: c1, command: sleep infinity, networks: [one]}
  c2: {image: busybox, container_name: c2, command: sleep infinity, networks: [two]}
networks:
  one: {name: my-bridge-001, driver_opts: {com.docker.network.bridge.name: one}}
  two: {name: my-bridge-002, driver_opts: {com.docker.network.bridge.name: two}}
Y
docker compose up -d
${raw}
iptables -I DOCKER-USER -i two -o one -j ACCEPT
iptables -I DOCKER-USER -i one -o two -j ACCEPT
`,
  },
  answer(
    "engine-without-iptables",
    "An engine that leaves the packet filter alone, and a filter that lets everything pass",
    `
jq '. + {iptables: false}' /etc/docker/daemon.json >/tmp/daemon.json
mv /tmp/daemon.json /etc/docker/daemon.json
docker stop -t 0 c1 c2 >/dev/null
kill $(cat /run/patchbay/dockerd.pid)
sleep 1
until docker version >/dev/null 2>&1; do sleep 0.1; done
iptables -P FORWARD ACCEPT
iptables -F
docker start c1 c2 >/dev/null
`,
  ),
];

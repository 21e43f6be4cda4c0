import { type Topology, topology } from "./schema.ts";

export type { Machine, Topology } from "./schema.ts";

/** The network under the hosts of a lab. */
const underlay = { name: "lan", gateway: "10.77.0.1/24" };
const on = (network: string, address: string) => [{ network, address }];
const host1 = { name: "host1", interfaces: on("lan", "10.77.0.11") };
const host2 = { name: "host2", interfaces: on("lan", "10.77.0.12") };

const oneHost = (name: string, setup = "") =>
  topology({ name, networks: [underlay], hosts: [host1], setup });

/** Its cable is another one in each lab. */
const web = "docker run -d --name web nginx";

/** What two exercises on compose begin with. */
const composeFiles = `
mkdir -p /root/compose/override-merge /root/compose/build-args/server
cat > /root/compose/override-merge/compose.yaml <<'YAML'
services:
  server:
    image: server
    ports:
      - "8080:8080"
YAML
cat > /root/compose/build-args/server/Dockerfile <<'DOCKERFILE'
ARG FROM
FROM \${FROM}
ARG VERSION=unknown
COPY app.py /app/app.py
RUN echo "$VERSION" > /app/version
WORKDIR /app
CMD ["python3", "-m", "uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8080"]
DOCKERFILE
cat > /root/compose/build-args/server/app.py <<'PYTHON'
"""Says on every path which version it was built as."""


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    text = open("/app/version", "rb").read()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})
PYTHON
`;

const GIB = 2 ** 30;

/** The project that netbox-docker gives, with a stack that runs: its first start is the longest. */
const netbox = topology({
  name: "netbox",
  networks: [underlay],
  hosts: [host1],
  files: [
    { folder: new URL("netbox/", import.meta.url).href, target: "/root/netbox-docker" },
    {
      folder: new URL("../images/netbox/configuration/", import.meta.url).href,
      target: "/root/netbox-docker/configuration",
    },
  ],
  setup: `
cd /root/netbox-docker
# On a machine that is busy a health check may miss its three seconds, and compose gives up at once.
for attempt in $(seq 6); do
  ! docker compose up --detach --wait --wait-timeout 120 || break
  sleep 10
done
docker compose up --detach --wait --wait-timeout 60
# A worker is called healthy before it has loaded NetBox, and NetBox takes no scripts while nobody would run them.
workers() { docker compose exec -T redis sh -c 'valkey-cli --no-auth-warning --pass "$REDIS_PASSWORD" SCARD rq:workers' </dev/null; }
for attempt in $(seq 60); do
  [ "$(workers)" = 0 ] || break
  sleep 1
done
`,
  // Ten workers take 4 GiB of it: each loads all of NetBox.
  limits: { memoryBytes: 6 * GIB, processors: 2 },
  startMemoryBytes: 1.25 * GIB,
});

const all = [
  oneHost("namespaces", web),
  oneHost("veth", web),
  oneHost("bridge"),
  topology({
    name: "drivers",
    networks: [underlay],
    hosts: [host1],
    // What macvlan and ipvlan containers are to be reached from: a machine that knows nothing of Docker.
    neighbours: [{ name: "neighbour1", interfaces: on("lan", "10.77.0.51") }],
  }),
  oneHost("iptables"),
  topology({ name: "overlay", networks: [underlay], hosts: [host1, host2] }),
  oneHost("compose", composeFiles),
  netbox,
];

/** By name, which is also the lesson's. */
export const topologies: Readonly<Record<string, Topology>> = Object.fromEntries(
  all.map((each) => [each.name, each]),
);

import type { HttpResult } from "../../../sandbox/index.ts";
import { containerRuns } from "../../checks/containers.ts";
import { askFromOutside, HOST_ADDRESS, whyNot } from "../../checks/published-port.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, joined, ru, words } from "../../core/text.ts";
import { allAddresses, filterRules, firstHost, list, optionOf } from "../../facts/model.ts";

const PORTS = [8080, 8443] as const;

const c1Runs = containerRuns("c1", "docker run -d --name c1 -p 8080:80 … nginx");

const published = check({
  id: "published",
  title: {
    en: "Docker publishes ports 8080 and 8443 of the host for c1, on an address that others reach",
    ru: "Docker публикует для c1 порты хоста 8080 и 8443 на адресе, до которого дотягиваются другие",
  },
  needs: { c1: c1Runs },
  run({ c1 }) {
    const missing = PORTS.filter(
      (port) =>
        !c1.published.some(
          (each) => each.hostPort === port && ["0.0.0.0", HOST_ADDRESS].includes(each.hostAddress),
        ),
    );
    if (missing.length === 0) return pass();
    const told = c1.published.map((each) => `${each.hostAddress}:${each.hostPort} → ${each.port}`);
    return fail(
      {
        en: `ports 8080 and 8443 on 0.0.0.0 or ${HOST_ADDRESS}`,
        ru: `порты 8080 и 8443 на 0.0.0.0 или ${HOST_ADDRESS}`,
      },
      list([...new Set(told)]),
      {
        en: "docker run -p HOST:CONTAINER, once for each",
        ru: "docker run -p ХОСТ:КОНТЕЙНЕР, по разу на каждый порт",
      },
    );
  },
});

const dnat = check({
  id: "docker-dnat",
  title: {
    en: "Rules of Docker's own chain lead both ports to c1's address",
    ru: "Правила собственной цепочки Docker ведут оба порта на адрес c1",
  },
  needs: { c1: c1Runs, published },
  async run({ facts, c1 }) {
    const { namespace } = firstHost(await facts());
    const own = allAddresses(c1.namespace).map(({ address }) => address);
    const rules = filterRules(namespace, "nat").filter(
      ({ chain, target }) => chain === "DOCKER" && target === "DNAT",
    );
    const missing = PORTS.filter((port) => {
      const rule = rules.find((each) => optionOf(each, "--dport") === String(port));
      const to = rule && optionOf(rule, "--to-destination");
      return !own.includes(to?.split(":")[0] ?? "");
    });
    if (missing.length === 0) return pass();
    const wanted = list(own.filter((each) => each !== "127.0.0.1"));
    const lacking = list(missing.map(String));
    return fail(
      { en: en`DNAT to ${wanted} in chain DOCKER`, ru: ru`DNAT на ${wanted} в цепочке DOCKER` },
      { en: en`no rule for: ${lacking}`, ru: ru`нет правила для: ${lacking}` },
    );
  },
});

/** What the rest of the world gets. */
const asked = check<readonly HttpResult[], { c1: typeof c1Runs }>({
  id: "reaches-c1",
  title: {
    en: "From outside the host, both ports lead into c1",
    ru: "Снаружи хоста оба порта ведут в c1",
  },
  needs: { c1: c1Runs },
  async run({ lab, signal, c1 }) {
    // Behind 8443 nothing need listen.
    const results = await Promise.all([
      askFromOutside(lab, 8080, c1, signal),
      askFromOutside(lab, 8443, c1, signal, "once"),
    ]);
    const lost = PORTS.filter((_, index) => results[index]?.reachedPort === null);
    if (lost.length === 0) {
      return pass(
        results,
        PORTS.map((port, index) => `${port} → ${results[index]?.reachedPort}`).join(", "),
      );
    }
    const actual = lost.map(
      (port) =>
        words`${port}: ${results[PORTS.indexOf(port)]?.error ?? { en: "something else answers", ru: "отвечает кто-то другой" }}`,
    );
    return fail(
      {
        en: `connections to ${HOST_ADDRESS}:8080 and :8443 arrive in c1`,
        ru: `соединения с ${HOST_ADDRESS}:8080 и :8443 доходят до c1`,
      },
      joined(actual, "; "),
    );
  },
});

const answers = check({
  id: "nginx-answers",
  title: { en: "On 8080 the nginx in c1 answers", ru: "На 8080 отвечает nginx из c1" },
  needs: { asked },
  run({ asked: [first] }) {
    const expected = {
      en: "an answer of nginx to what arrived in c1",
      ru: "ответ nginx на запрос, который дошёл до c1",
    };
    if (!first?.arrived) {
      const lost = { en: "the request did not arrive in c1", ru: "запрос до c1 не дошёл" };
      return fail(expected, first?.error ?? lost);
    }
    const server = first.headers.find(({ name }) => name === "server")?.value ?? "";
    if (server.startsWith("nginx"))
      return pass(undefined, { en: `status ${first.status}`, ru: `статус ${first.status}` });
    const actual =
      server === ""
        ? { en: "an answer that does not say by whom", ru: "ответ, в котором не сказано, чей он" }
        : { en: `${server} answers`, ru: `отвечает ${server}` };
    return fail(expected, first.status === null ? whyNot(first) : actual);
  },
});

const net = "docker network create my-bridge-001\n";

export const publishPorts: Exercise = {
  id: "iptables/publish-ports",
  title: { en: "A web server for the world outside", ru: "Веб-сервер для внешнего мира" },
  lesson: "iptables",
  lab: "iptables",
  requires: [],
  checks: [c1Runs, published, dnat, asked, answers],
  solutions: [
    {
      name: "lecture",
      title: "As the lecture shows it",
      script: `${net}docker run -d -p 8080:80/tcp -p 8443:443/tcp --name c1 --network my-bridge-001 nginx; sleep 0.5`,
    },
    {
      name: "both-to-80",
      title: "Both ports lead to the one that nginx listens on",
      script: "docker run -d --name c1 -p 8080:80 -p 8443:80 nginx; sleep 0.5",
    },
    {
      name: "one-address",
      title: "Published on the address that the world outside knows",
      script: "docker run -d --name c1 -p 10.77.0.11:8080:80 -p 10.77.0.11:8443:443 nginx",
    },
    {
      name: "range",
      title: "Among others, in a range of ports",
      script: "docker run -d --name c1 -p 8079-8081:79-81 -p 8443:443 nginx",
    },
    {
      name: "compose",
      title: "Declared in a compose file",
      script: `mkdir -p /root/web && cd /root/web
        printf 'services:\\n  web: {image: nginx, container_name: c1, ports: ["8080:80", "8443:443"]}\\n' > compose.yaml
        docker compose up -d; sleep 0.5`,
    },
  ],
  wrongAnswers: [
    {
      name: "not-published",
      title: "No port is published",
      rejectedBy: "published",
      script: "docker run -d --name c1 nginx",
    },
    {
      name: "one-port",
      title: "One of the two",
      rejectedBy: "published",
      script: "docker run -d --name c1 -p 8080:80 nginx",
    },
    {
      name: "loopback-only",
      title: "On loopback only",
      rejectedBy: "published",
      script: "docker run -d --name c1 -p 127.0.0.1:8080:80 -p 127.0.0.1:8443:443 nginx",
    },
    {
      name: "exposed",
      title: "Exposed in the image, not published",
      rejectedBy: "published",
      script: "docker run -d --name c1 --expose 8080 --expose 8443 nginx",
    },
    {
      name: "own-rule",
      title: "A rule of one's own in place of Docker's",
      rejectedBy: "published",
      script: `docker run -d --name c1 nginx; ip=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' c1)
        for p in 8080:80 8443:443; do iptables -t nat -A PREROUTING -p tcp --dport \${p%:*} -j DNAT --to $ip:\${p#*:}; done
        iptables -I DOCKER-USER -j ACCEPT`,
    },
    {
      name: "other-container",
      title: "Another container has the ports",
      rejectedBy: "published",
      script: "docker run -d --name c2 -p 8080:80 -p 8443:443 nginx; docker run -d --name c1 nginx",
    },
    {
      name: "relay",
      title: "A program on the host that passes connections on",
      rejectedBy: "published",
      script: `docker run -d --name c1 nginx; ip=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' c1)
        cat > /root/relay.py <<'P'
import socketserver, sys, socket, threading
class Relay(socketserver.BaseRequestHandler):
    def handle(self):
        far = socket.create_connection((sys.argv[1], 80))
        far.sendall(self.request.recv(65536))
        while data := far.recv(65536): self.request.sendall(data)
for port in (8080, 8443):
    server = socketserver.ThreadingTCPServer(("", port), Relay)
    threading.Thread(target=server.serve_forever).start()
P
        setsid python3 /root/relay.py $ip >/dev/null 2>&1 &
        until curl -s localhost:8443 >/dev/null; do sleep 0.1; done`,
    },
    {
      name: "busybox",
      title: "Something else listens in c1",
      rejectedBy: "nginx-answers",
      script: "docker run -d --name c1 -p 8080:80 -p 8443:443 busybox httpd -f -p 80; sleep 0.5",
    },
    {
      name: "dropped",
      title: "A rule keeps the world out",
      rejectedBy: "reaches-c1",
      script:
        "docker run -d --name c1 -p 8080:80 -p 8443:443 nginx; iptables -I DOCKER-USER -i eth0 -j DROP",
    },
    {
      name: "rules-flushed",
      title: "Docker's rules are gone, its proxy is left",
      rejectedBy: "docker-dnat",
      script: "docker run -d --name c1 -p 8080:80 -p 8443:443 nginx; iptables -t nat -F DOCKER",
    },
    {
      name: "host-network",
      title: "In the host's namespace",
      rejectedBy: "published",
      script: "docker run -d --name c1 --network host nginx",
    },
  ],
};

/** Probes of the trusted hand against servers that answer, refuse, stall and lie. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { reachability, type Target, tryWays } from "../../graders/checks/reachability.ts";
import type { Exercise } from "../../graders/index.ts";
import { gradeExercise, resultIn } from "../../graders/index.ts";
import type { Lab, NamespaceRef, SandboxEngine, TrustedHand } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";

const outside: NamespaceRef = { kind: "outside" };
const HOST = "10.77.0.11";
let engine: SandboxEngine;
let lab: Lab;
let hand: TrustedHand;
let web: { readonly at: NamespaceRef; readonly address: string };

const run = async (script: string) => {
  const { exitCode, stdout, stderr } = await lab.host().capture(["bash", "-ec", script]);
  expect([script, exitCode, stderr]).toEqual([script, 0, expect.anything()]);
  return stdout.trim();
};

/** Servers that a student could have written: each on a port of the host. */
const SERVERS = String.raw`
import socket, threading, time
def tcp(port, talk):
    server = socket.create_server(("", port))
    def serve():
        while True:
            client, _ = server.accept()
            def one(client=client):
                try: talk(client)
                except OSError: pass
            threading.Thread(target=one, daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
def udp(port, answer):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", port))
    def serve():
        while True:
            data, client = server.recvfrom(4096)
            for reply in answer(data): server.sendto(reply, client)
    threading.Thread(target=serve, daemon=True).start()
def endless(client):
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True: client.sendall(b"x" * 65536)
def drip(client):
    for letter in b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"y" * 9999:
        client.sendall(bytes([letter])); time.sleep(0.2)
tcp(7001, lambda client: time.sleep(60))
tcp(7002, endless)
tcp(7003, drip)
tcp(7004, lambda client: (client.recv(99), client.sendall(b"\xff\x00 no HTTP \x1b]0;x\x07")) and client.close())
tcp(7005, lambda client: client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") or time.sleep(60))
udp(7100, lambda data: [b"echo " + data])
udp(7101, lambda data: [])
# Too short; another question's; then one that points at itself and beyond its end.
udp(53, lambda data: [b"x", b"zz" + data[2:], data[:2] + b"\x81\x80\x00\x01\xff\xff\0\0\0\0" + data[12:-30] + b"\xc0\x0c\0\1\0\1\0\0\0\1\xff\xff"])
time.sleep(600)
`;

beforeAll(async () => {
  engine = await openSandbox({ engine: "managed" });
  lab = await engine.up({ topology: "iptables", name: "probes" });
  hand = lab.host().hand();
  await run(`docker network create back >/dev/null
    docker run -d --name web --network back -p 8080:80 nginx >/dev/null
    docker run -d --name ask --network back busybox sleep infinity >/dev/null
    for n in red blue; do ip netns add $n; ip -n $n link set lo up; done
    ip link add eth0 netns red type veth peer name eth0 netns blue
    ip -n red addr add 10.9.0.1/24 dev eth0; ip -n red link set eth0 up
    ip -n blue addr add 10.9.0.2/24 dev eth0; ip -n blue link set eth0 up
`);
  await lab.host().capture(["bash", "-c", "cat > /root/servers.py"], { input: SERVERS });
  await run(
    "setsid python3 /root/servers.py >/root/servers.log 2>&1 </dev/null & sleep 1; cat /root/servers.log",
  );
  const inspect = (field: string) => run(`docker inspect -f '${field}' web`);
  web = {
    at: { kind: "pid", pid: Number(await inspect("{{.State.Pid}}")) },
    address: await inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"),
  };
}, 400_000);

afterAll(async () => {
  if (lab !== undefined) await engine.down(lab.id);
  await engine?.[Symbol.asyncDispose]();
}, 60_000);

test("a TCP connection counts when what was sent arrives in the target's namespace", async () => {
  const probe = { from: outside, target: web.at, address: HOST };
  expect(await hand.tcp({ ...probe, port: 8080 })).toEqual({
    ...{ connected: true, arrived: true, from: "10.77.0.1", reachedPort: 80 },
  });
  // Somebody else answers there.
  expect(await hand.tcp({ ...probe, port: 7001, waitMs: 300 })).toEqual({
    ...{ connected: true, arrived: false, from: null, reachedPort: null },
  });
  expect(await hand.tcp({ ...probe, port: 7999 })).toMatchObject({
    ...{ connected: false, error: "Connection refused", arrived: false },
  });
  const dropped = { ...probe, address: "10.77.0.99", port: 80, waitMs: 300 };
  expect(await hand.tcp(dropped)).toMatchObject({ connected: false, arrived: false });
});

test("a page is asked for, with its status, headers and body", async () => {
  const probe = { from: outside, target: web.at, address: HOST, port: 8080 };
  const page = await hand.get(probe);
  expect(page).toMatchObject({ connected: true, arrived: true, status: 200, reachedPort: 80 });
  expect(page.body).toContain("nginx");
  expect(page.headers).toContainEqual({ name: "server", value: expect.stringMatching(/^nginx/) });
  expect(await hand.get({ ...probe, path: "/nowhere" })).toMatchObject({ status: 404 });
});

test("servers that stall, drip, never end or speak no HTTP keep nobody waiting", async () => {
  const ask = async (port: number) => {
    const startMs = performance.now();
    const page = await hand.get({ from: outside, address: HOST, port, waitMs: 500 });
    expect(performance.now() - startMs).toBeLessThan(4000);
    return page;
  };
  expect(await ask(7001)).toMatchObject({ connected: true, status: null, error: "no answer" });
  const endless = await ask(7002);
  expect([endless.status, endless.body.length]).toEqual([200, expect.any(Number)]);
  expect(endless.body.length).toBeLessThanOrEqual(16 << 10);
  expect(await ask(7003)).toMatchObject({ status: null, error: "no HTTP answer" });
  expect(await ask(7004)).toMatchObject({ status: null, error: "no HTTP answer" });
  expect(await ask(7005)).toMatchObject({ status: 200, body: "hello" });
});

test("a datagram counts when it arrives, and an answer is taken", async () => {
  const probe = { from: outside, target: { kind: "host" }, address: HOST, waitMs: 600 } as const;
  const echo = await hand.udp({ ...probe, port: 7100 });
  expect(echo).toMatchObject({
    arrived: true,
    from: "10.77.0.1",
    reachedPort: 7100,
    answered: true,
  });
  expect(echo.answer).toMatch(/^echo [0-9a-f]{16}$/);
  expect(await hand.udp({ ...probe, port: 7101 })).toMatchObject({
    arrived: true,
    answered: false,
  });
  expect(await hand.udp({ ...probe, port: 7999 })).toMatchObject({
    ...{ arrived: true, answered: false, error: "Connection refused" },
  });
  expect(await hand.udp({ ...probe, target: web.at, port: 7100 })).toMatchObject({
    ...{ arrived: false, answered: true },
  });
});

test("a question to a name server is seen where it arrives", async () => {
  const pid = Number(await run("docker inspect -f '{{.State.Pid}}' ask"));
  const from: NamespaceRef = { kind: "pid", pid };
  const embedded = { from, target: from, server: "127.0.0.11" };
  expect(await hand.dns({ ...embedded, name: "web" })).toMatchObject({
    ...{ answered: true, code: 0, addresses: [web.address], arrived: true, from: "127.0.0.1" },
  });
  expect(await hand.dns({ ...embedded, name: "nobody-here" })).toMatchObject({
    ...{ answered: true, code: 3, addresses: [] },
  });
  const beyond = { from, target: outside, server: "8.8.8.8", name: "dns.google" };
  expect(await hand.dns(beyond)).toMatchObject({
    ...{ addresses: ["8.8.8.8"], arrived: true, from: HOST },
  });
  const lying = { from: outside, target: { kind: "host" }, server: HOST, name: "web" } as const;
  expect(await hand.dns({ ...lying, waitMs: 800 })).toMatchObject({
    ...{ answered: false, addresses: [], arrived: true, error: "what came back is no DNS" },
  });
  expect(
    await hand.dns({ from: outside, server: "10.77.0.99", name: "web", waitMs: 300 }),
  ).toMatchObject({ answered: false, arrived: false });
});

test("probes run side by side", async () => {
  const probe = { from: outside, address: HOST, port: 7001, target: web.at, waitMs: 1000 };
  const startMs = performance.now();
  await hand.tcp(probe);
  const aloneMs = performance.now() - startMs;
  const togetherMs = performance.now();
  await Promise.all(Array.from({ length: 12 }, () => hand.tcp(probe)));
  expect(performance.now() - togetherMs).toBeLessThan(4 * aloneMs);
});

test("a reachability check passes as it should be, and fails with both grids", async () => {
  const red: Target = { label: "red", at: { kind: "named", name: "red" }, address: "10.9.0.1" };
  const blue: Target = { label: "blue", at: { kind: "named", name: "blue" }, address: "10.9.0.2" };
  const host: Target = { label: "host", at: { kind: "host" }, address: HOST };
  const check = (reaches: boolean) =>
    reachability({
      id: "who",
      title: "Who reaches whom",
      hint: "Look at the routes.",
      ways: () => [
        { from: red, to: blue, over: "ping", reaches: true },
        { from: blue, to: red, over: "ping", reaches: true },
        { from: red, to: host, over: "ping", reaches },
        { from: red, to: blue, over: "tcp/9", reaches: false },
        { from: host, to: { ...host, label: "web", ...web }, over: "tcp/80", reaches: true },
      ],
    });
  const grade = async (reaches: boolean) => {
    const exercise: Exercise = {
      ...{ id: "x/y", title: "", lesson: "x", lab: "iptables", requires: [] },
      ...{ checks: [check(reaches)], solutions: [], wrongAnswers: [] },
    };
    return resultIn(await gradeExercise(exercise, lab), "en").checks[0];
  };
  expect(await grade(false)).toMatchObject({ status: "passed" });
  expect(await grade(true)).toMatchInlineSnapshot(`
    {
      "actual": "from \\ to  red ping  blue ping  blue tcp/9  host ping  web tcp/80
    red        ·         ✔          ✖           ✖          ·
    blue       ✔         ·          ·           ·          ·
    host       ·         ·          ·           ·          ✔
    red to host (ping): 0 of 3 echo requests arrived, 0 were answered: no route leads there",
      "expected": "from \\ to  red ping  blue ping  blue tcp/9  host ping  web tcp/80
    red        ·         ✔          ✖           ✔          ·
    blue       ✔         ·          ·           ·          ·
    host       ·         ·          ·           ·          ✔",
      "hint": "Look at the routes.",
      "id": "who",
      "status": "failed",
      "title": "Who reaches whom",
    }
  `);
  const [none] = await tryWays(lab, [], new AbortController().signal);
  expect(none).toBeUndefined();
});

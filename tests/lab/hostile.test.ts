/**
 * Students who break, forge and flood what they can reach. Whatever they do, a check says what happened: it neither
 * crashes nor hangs, and passes nobody who has not done the exercise.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { applyAnswer } from "../../graders/core/answers.ts";
import {
  type Exercise,
  type ExerciseResult,
  exercises,
  gradeExercise,
  resultIn,
} from "../../graders/index.ts";
import { reporters } from "../../graders/reporters/index.ts";
import { jsonText } from "../../sandbox/cli/json.ts";
import { dockerCommand } from "../../sandbox/docker/command.ts";
import { ensureManagedEngine } from "../../sandbox/docker/managed-engine.ts";
import type { HostFacts, Lab, SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";

const LIMIT_MS = 15_000;
const lyingEngine = readFileSync(new URL("../fixtures/lying-engine.py", import.meta.url), "utf8");
let engine: SandboxEngine;
/** Where engines lie and junk piles up. */
let full: Lab;
/** Which is broken, and reset, again and again. */
let broken: Lab;

const exercise = (id: string): Exercise => {
  const found = exercises.find((each) => each.id === id);
  if (found === undefined) throw new Error(`There is no exercise ${id}.`);
  return found;
};
const byHand = exercise("bridge/by-hand");
const hostPeer = exercise("veth/find-host-peer");
const publish = exercise("iptables/publish-ports");

const run = async (lab: Lab, script: string, interpreter = "bash") =>
  (await lab.host().capture([interpreter], { input: script })).stdout.trim();

// biome-ignore lint/suspicious/noControlCharactersInRegex: these must not reach a terminal, a page or a file
const harmful = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

const xmlReports: string[] = [];

/** Grades, within the time that a student waits, and sees to it that all that is said can be read. */
async function grade(lab: Lab, ...which: readonly Exercise[]): Promise<readonly ExerciseResult[]> {
  const startMs = performance.now();
  const results = await Promise.all(which.map((each) => gradeExercise(each, lab)));
  expect(performance.now() - startMs).toBeLessThan(LIMIT_MS);
  const told = (["en", "ru"] as const).flatMap((language) =>
    results.map((result) => resultIn(result, language)),
  );
  for (const { exercise: id, checks } of told) {
    for (const check of checks) {
      const said =
        check.status === "failed"
          ? [check.expected, check.actual, check.hint ?? "a hint"]
          : check.status === "errored"
            ? [check.error]
            : check.status === "skipped"
              ? [check.because]
              : [check.actual ?? "it passed"];
      for (const text of said) {
        expect([id, check.id, text, harmful.test(text)]).toEqual([id, check.id, text, false]);
        if (check.status !== "passed") expect(text).toMatch(/\p{L}/u);
        expect(text.length).toBeLessThan(5000);
        expect(text).not.toMatch(/TypeError|undefined|\[object|at .*\.ts:\d/);
      }
    }
  }
  for (const name of ["pretty", "json", "junit", "tap"] as const) {
    const printed = reporters[name](results, { color: false, titles: {} });
    expect([name, harmful.exec(printed)]).toEqual([name, null]);
    if (name === "junit") xmlReports.push(printed);
  }
  return results;
}

const verdicts = (results: readonly ExerciseResult[]) =>
  results.map(({ exercise: id, status }) => `${id}: ${status}`);
const nobodyPassed = (results: readonly ExerciseResult[]) =>
  expect(verdicts(results).filter((each) => each.endsWith("passed"))).toEqual([]);

const said = ([result]: readonly ExerciseResult[]): string =>
  (result === undefined ? [] : resultIn(result, "en").checks)
    .map((check) => ("error" in check ? check.error : "actual" in check ? check.actual : ""))
    .join("\n");

const factsOf = async (lab: Lab): Promise<HostFacts> => {
  const startMs = performance.now();
  const facts = await lab.facts();
  expect(performance.now() - startMs).toBeLessThan(LIMIT_MS);
  expect(harmful.exec(jsonText(facts).replaceAll("\n", ""))).toBeNull();
  const [host] = facts.hosts;
  if (host === undefined) throw new Error("The lab has no host.");
  return host;
};

beforeAll(async () => {
  engine = await openSandbox({ engine: "managed" });
  [full, broken] = await Promise.all([
    engine.up({ topology: "iptables", name: "hostile-full" }),
    engine.up({ topology: "veth", name: "hostile-broken" }),
  ]);
  await full.host().capture(["bash", "-c", "cat > /root/lying-engine.py"], { input: lyingEngine });
}, 400_000);

afterAll(async () => {
  for (const { id } of await engine.list()) if (id.startsWith("hostile-")) await engine.down(id);
  await engine?.[Symbol.asyncDispose]();
}, 60_000);

test("a lab that is not there, or was ended in the middle of a check, is said to be gone", async () => {
  await expect(engine.find("nowhere")).rejects.toMatchObject({ code: "lab-not-found" });
  const lab = await engine.up({ topology: "veth", name: "hostile-ended" });
  const grading = grade(lab, ...exercises.filter((each) => each.lab === "veth"));
  await engine.down(lab.id);
  nobodyPassed(await grading);
  await expect(lab.facts()).rejects.toMatchObject({
    ...{ code: "lab-broken" },
    message: "Lab host host1 of hostile-ended is gone: the lab was ended or reset.",
  });
  const after = await grade(lab, hostPeer);
  expect(verdicts(after)).toEqual(["veth/find-host-peer: errored"]);
  expect(said(after)).toContain("is gone");
});

test("a sidecar that is lost in the middle of a check is no verdict, and the next check has another one", async () => {
  const docker = dockerCommand(`unix://${await ensureManagedEngine()}`);
  const grading = grade(broken, hostPeer, byHand);
  await docker("rm", "--force", "--volumes", "patchbay-steward");
  nobodyPassed(await grading);
  await expect
    .poll(async () => verdicts(await grade(broken, hostPeer)), { timeout: 20_000 })
    .toEqual(["veth/find-host-peer: failed"]);
});

const lies = {
  garbage: "no HTTP",
  silence: "did not answer within 5 s",
  closed: "nothing|Broken pipe|reset",
  status: "HTTP status 500",
  "no-json": "no JSON",
  "no-list": "something else than Docker's API does",
  "wrong-types": "something else than Docker's API does",
  infinite: "no JSON|can't be told",
  "huge-number": "no JSON|something else",
  deep: "nested without end",
  huge: "more than 16 MiB",
  "claims-more": "more than 16 MiB",
  headers: "headers without end|no HTTP",
  "long-line": "no HTTP",
  endless: "more than 16 MiB|did not answer within 5 s",
  slow: "did not answer within 5 s",
  "ten-thousand-running": "10000 running containers",
} as const;

test("an engine that lies, stalls or talks without end is found out, and the kernel's part is whole", async () => {
  await run(
    full,
    `echo honest > /root/lie; mv /run/docker.sock /run/true.sock
     setsid python3 /root/lying-engine.py >/root/lying.log 2>&1 </dev/null &
     until [ -S /run/docker.sock ]; do sleep 0.05; done`,
  );
  for (const [lie, words] of Object.entries(lies)) {
    await run(full, `echo ${lie} > /root/lie`);
    const [host, results] = await Promise.all([factsOf(full), grade(full, publish)]);
    expect([lie, verdicts(results)]).toEqual([lie, ["iptables/publish-ports: errored"]]);
    expect([lie, said(results)]).toEqual([lie, expect.stringMatching(words)]);
    expect([lie, host.containers]).toEqual([lie, null]);
    const why = host.missing.find(({ source }) => source === "containers")?.why;
    expect([lie, why]).toEqual([lie, expect.stringMatching(words)]);
    expect(host.namespaces[0]?.links?.length).toBeGreaterThan(1);
  }
});

test("an engine that forges containers passes nobody, with whatever process it names", async () => {
  const ofOneHost = exercises.filter((each) => each.lab !== "overlay" && each.lab !== "netbox");
  for (const lie of ["forged", "no-such-process", "evil-names", "long-name", "ten-thousand"]) {
    await run(full, `echo ${lie} > /root/lie`);
    await factsOf(full);
    // A student has one checked, or a lesson's.
    for (let first = 0; first < ofOneHost.length; first += 5) {
      nobodyPassed(await grade(full, ...ofOneHost.slice(first, first + 5)));
    }
  }
  const { containers } = await factsOf(full);
  expect(containers).toHaveLength(10_000);
  // One in the host's namespace, one with loopback alone: what the exercise asks for, but no containers.
  await run(
    full,
    `unshare --net sleep 600 >/dev/null 2>&1 </dev/null & echo 1 $! > /root/pids; sleep 0.2
     echo processes > /root/lie`,
  );
  const claimed = (await factsOf(full)).containers;
  expect(claimed?.map(({ name, namespace }) => [name, namespace])).toEqual([
    ["a1", null],
    ["a2", null],
  ]);
  nobodyPassed(await grade(full, exercise("drivers/host-and-none")));
  await run(
    full,
    "pkill -f lying-engine.py; mv -f /run/true.sock /run/docker.sock; docker version",
  );
  expect(await run(full, "ls /tmp/owned owned 2>&1 | grep -c No.such")).toBe("2");
});

test("hundreds of containers, networks, links, routes and rules keep nobody from passing", async () => {
  await run(
    full,
    `seq 320 | xargs -P6 -I{} curl -sS -o /dev/null --unix-socket /run/docker.sock -H 'Content-Type: application/json' \\
       -d '{"Image":"busybox","Cmd":["true"]}' 'http://x/v1.41/containers/create?name=junk{}'
     for n in $(seq 30); do docker network create --internal --subnet 10.99.$n.0/24 junk$n >/dev/null; done
     seq 400 | sed 's/.*/link add j& type veth peer name k&/' | ip -batch -
     seq 250 | sed 's/.*/addr add 10.98.0.&\\/32 dev lo/' | ip -batch -
     seq 20000 | awk '{ printf "route add blackhole 10.%d.%d.%d/32\\n", 100 + $1 / 65536, $1 / 256 % 256, $1 % 256 }' | ip -batch -
     { echo '*mangle'; seq 3000 | sed 's/.*/-A FORWARD -s 10.97.0.0\\/16 -m mark --mark & -j DROP/'; echo COMMIT; } | iptables-restore -n
     mkdir -p /run/netns; seq 900 | sed 's/^/\\/run\\/netns\\/junk/' | xargs touch`,
  );
  const [solution] = publish.solutions;
  if (solution === undefined) throw new Error("There is no solution.");
  await applyAnswer(full, solution);
  const honest = await grade(full, publish);
  expect([verdicts(honest), said(honest)]).toEqual([
    ["iptables/publish-ports: passed"],
    expect.anything(),
  ]);
  const host = await factsOf(full);
  expect(host.containers?.length).toBeGreaterThan(320);
  expect(host.networks?.length).toBeGreaterThan(30);
  const own = host.namespaces[0];
  expect(own?.links?.length).toBeGreaterThan(800);
  // More than anybody makes on purpose: said, and nothing else is lost for it.
  expect(own?.routes).toBeNull();
  expect(own?.missing).toEqual([
    { source: "routes", code: "probe-failed", why: "more than 16384 entries" },
  ]);
  expect(host.named?.length).toBe(900);
  await run(full, "seq 20000 | sed 's/^/\\/run\\/netns\\/more/' | xargs touch");
  const crowded = await grade(full, byHand, publish);
  expect(verdicts(crowded)).toEqual(["bridge/by-hand: failed", "iptables/publish-ports: passed"]);
  expect((await factsOf(full)).named).toBeNull();
  const netns = await grade(full, exercise("namespaces/create-netns"));
  expect(said(netns)).toContain("/run/netns has more than 1024 entries");
  await run(full, "find /run/netns -type f -delete");
});

test("a ruleset larger than anybody reads is said to be so", async () => {
  const made = await run(
    full,
    // In parts, since a lab's netlink messages have a size.
    `nft 'add table ip big; add set ip big s { type ipv4_addr; }'; words=$(printf 'word %.0s' $(seq 20))
     for n in $(seq 70); do
       { echo -n 'add element ip big s {'
         seq 999 | awk -v n=$n -v words="$words" '{ printf "%s 10.%d.%d.%d comment \\"%s\\"", ($1 > 1 ? "," : ""), n, $1 / 256, $1 % 256, words }'
         echo ' }'; } | nft -f - || echo failed
     done`,
  );
  expect(made).toBe("");
  const results = await grade(full, publish);
  expect(verdicts(results)).toEqual(["iptables/publish-ports: errored"]);
  expect(said(results)).toMatch(/nft (prints more than 8 MiB|did not end within 5 s)/);
  await run(full, "nft delete table ip big");
  expect(verdicts(await grade(full, publish))).toEqual(["iptables/publish-ports: passed"]);
});

test("names with quotes, line breaks, escapes, markup and broken bytes are names like others", async () => {
  const names = String.raw`
import os, subprocess
names = [b"two words", b"a'b\"c", b"$(touch owned)\nnext", b"\x1b]0;owned\x07\xc2\x9b31m", b"<img src=x onerror=alert(1)>]]>&",
         "\u043f\u0443\u0442\u044c-\u202egnp".encode(), b"\xff\xfe", b"__proto__", b"constructor", b"-rf", b"*"]
sh = lambda *argv: subprocess.run(argv, check=True)
os.makedirs("/run/netns", exist_ok=True)
sh(b"ip", b"link", b"add", b"lab0", b"type", b"bridge")
sh(b"ip", b"addr", b"add", b"10.20.0.1/24", b"dev", b"lab0"); sh(b"ip", b"link", b"set", b"lab0", b"up")
sh(b"iptables", b"-I", b"FORWARD", b"-i", b"lab0", b"-o", b"lab0", b"-j", b"ACCEPT")
for n, name in enumerate(names):
    link, inside = b"p%d" % n + b"<\x1b[31m>", b"e\"'\xff%d" % n
    path = b"/run/netns/" + name
    open(path, "w").close()
    sh(b"unshare", b"--net=" + path, b"true")
    sh(b"ip", b"link", b"add", link, b"type", b"veth", b"peer", b"name", inside)
    holder = subprocess.Popen([b"nsenter", b"--net=" + path, b"sleep", b"30"])
    sh(b"sleep", b"0.1"); sh(b"ip", b"link", b"set", inside, b"netns", b"%d" % holder.pid)
    sh(b"ip", b"link", b"set", link, b"master", b"lab0", b"up")
    for words in ([b"addr", b"add", b"10.20.0.1%d/24" % n, b"dev", inside], [b"link", b"set", inside, b"up"]):
        sh(b"nsenter", b"--net=" + path, b"ip", *words)
    holder.kill()
`;
  const made = await full.host().capture(["python3"], { input: names });
  expect(made).toMatchObject({ exitCode: 0, stderr: "" });
  const passed = await grade(full, byHand);
  expect([verdicts(passed), said(passed)]).toEqual([["bridge/by-hand: passed"], expect.anything()]);
  const host = await factsOf(full);
  expect(host.named?.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["two words", "__proto__", "constructor", "$(touch owned)\nnext"]),
  );
  await run(full, 'ip link set "$(ls /sys/class/net | grep ^p0)" down');
  const failed = await grade(full, byHand, exercise("namespaces/create-netns"));
  expect(verdicts(failed)).toEqual(["bridge/by-hand: failed", "namespaces/create-netns: failed"]);
  expect(said(failed)).toContain("\\u001b]0;owned");
  expect(await run(full, "ls /tmp/owned owned 2>&1 | grep -c No.such")).toBe("2");
  // Labels of a compose project, and the file that one of them names.
  await run(
    full,
    String.raw`mkfifo /root/pipe; printf '%s' '[[[[[' > /root/deep.yaml; yes '[' | head -c 30000 | tr -d '\n' >> /root/deep.yaml
      for file in /root/pipe /dev/zero /root /nowhere /root/deep.yaml "$(printf '/\033]0;x\007<b>')" relative; do
        docker rm -f evil >/dev/null 2>&1
        docker run -d --name evil --label com.docker.compose.service=my-client --label com.docker.compose.project="$(printf '\033[2J<b>&')" \
          --label com.docker.compose.project.config_files="$file" --label 'a
b=c' busybox sleep 600 >/dev/null
      done`,
  );
  nobodyPassed(await grade(full, exercise("compose/from-run-commands")));
});

test("junit's reports are XML, whatever was said in them", async () => {
  expect(xmlReports.length).toBeGreaterThan(10);
  const parse = `import sys, json, xml.dom.minidom
for text in json.load(open("/root/reports.json")): xml.dom.minidom.parseString(text.encode())
print("all are")`;
  await full.host().capture(["bash", "-c", "cat > /root/reports.json"], {
    input: JSON.stringify(xmlReports),
  });
  expect(await run(full, parse, "python3")).toBe("all are");
});

test("/run/netns in any other shape is what ip netns would make of it", async () => {
  const away = "[ -L /run/netns ] || umount -l /run/netns 2>/dev/null; rm -rf /run/netns";
  const shapes = [
    "mkfifo /run/netns",
    "ln -s /dev/zero /run/netns",
    "ln -s /run/netns /run/netns",
    "ln -s /proc/1/root/proc/1/ns /run/netns",
    "echo file > /run/netns",
    `mkdir /run/netns; cd /run/netns; mkfifo red; ln -s /dev/zero blue; ln -s loop loop; mkdir folder; truncate -s 10G large
     ln -s /proc/self/ns/net own; ln -s /proc/1/ns/net host; ln -s /proc/99999/ns/net nobody; ln -s ../../../../../../etc/passwd out
     python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("/run/netns/socket")'`,
    "mkdir /run/netns; mount -t tmpfs none /run/netns; mount --bind /proc/1/ns/net /run/netns 2>/dev/null; true",
  ];
  for (const shape of shapes) {
    await run(broken, `${away}; ${shape}`);
    const host = await factsOf(broken);
    expect([shape, host.missing]).toEqual([shape, []]);
    const results = await grade(broken, exercise("veth/connect-two-namespaces"));
    expect(verdicts(results)).toEqual(["veth/connect-two-namespaces: failed"]);
  }
  await run(broken, away);
});

test("an answer that is no file is refused with the reason", async () => {
  const folder = "/root/veth/find-host-peer";
  const shapes: readonly (readonly [string, RegExp])[] = [
    ["mkfifo answer", /no regular file/],
    ["mkdir answer", /no regular file/],
    ["ln -s /dev/zero answer", /no regular file/],
    ["ln -s /dev/stdin answer", /No such file|no regular file|Too many/],
    ["ln -s /proc/1/root/../../etc/shadow answer", /No such file|Too many|loop|no interface/],
    ["ln -s answer answer", /Too many levels/],
    ["truncate -s 50G answer", /has \d+ bytes, more than 4096/],
    ["head -c 5000 /dev/zero > answer", /has 5000 bytes/],
    ["printf '\\033]0;x\\007' > answer", /has no interface \\u001b/],
    ["printf '\\377\\376<b>' > answer", /no interface/],
    ["yes veth0 | head -c 4000 > answer", /no interface's name/],
    [
      `echo veth0 > answer; setsid python3 -c 'import fcntl, time
f = open("answer", "r+"); fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK); time.sleep(30)' >/dev/null 2>&1 </dev/null & sleep 0.5`,
      /temporarily unavailable/,
    ],
  ];
  for (const [shape, words] of shapes) {
    await run(broken, `rm -rf ${folder}; mkdir -p ${folder}; cd ${folder}; ${shape}`);
    const results = await grade(broken, hostPeer);
    expect([shape, verdicts(results)]).toEqual([shape, ["veth/find-host-peer: failed"]]);
    expect([shape, said(results)]).toEqual([shape, expect.stringMatching(words)]);
  }
});

test("a socket of the engine that is no socket, or that nobody serves, is said to be so", async () => {
  const shapes: readonly (readonly [string, RegExp])[] = [
    ["mkfifo docker.sock", /is no socket/],
    ["mkdir docker.sock", /is no socket/],
    ["echo file > docker.sock", /is no socket/],
    ["ln -s /dev/zero docker.sock", /is no socket/],
    ["ln -s docker.sock docker.sock", /Too many levels/],
    ["true", /No such file/],
    ["ln -s /proc/1/root/../../../run/docker.sock docker.sock", /No such file|Too many/],
    [
      "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/run/docker.sock\")'",
      /Connection refused/,
    ],
    [
      `setsid python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX); s.bind("/run/docker.sock"); s.listen(0)
held = [socket.socket(socket.AF_UNIX) for _ in range(9)]
for one in held: one.setblocking(False)
for one in held:
    try: one.connect("/run/docker.sock")
    except OSError: pass
time.sleep(60)' >/dev/null 2>&1 </dev/null & sleep 0.5`,
      /takes no more connections|did not answer/,
    ],
  ];
  await run(broken, "mv /run/docker.sock /run/true.sock");
  for (const [shape, words] of shapes) {
    await run(broken, `cd /run; rm -rf docker.sock; ${shape}`);
    const results = await grade(broken, hostPeer);
    expect([shape, verdicts(results)]).toEqual([shape, ["veth/find-host-peer: errored"]]);
    expect([shape, said(results)]).toEqual([shape, expect.stringMatching(words)]);
  }
  await run(broken, "rm -rf /run/docker.sock; mv /run/true.sock /run/docker.sock");
  expect(verdicts(await grade(broken, hostPeer))).toEqual(["veth/find-host-peer: failed"]);
});

test("tools and libraries of the lab may say what they like", async () => {
  const [solution] = hostPeer.solutions;
  if (solution === undefined) throw new Error("There is no solution.");
  await applyAnswer(broken, solution);
  await run(
    broken,
    `for tool in ip docker ping nft iptables iptables-save iptables-nft-save python3 ss bridge; do
       file=$(command -v $tool) && { rm -f $file; printf '#!/bin/sh\\necho all is well\\n' > $file; chmod +x $file; }
     done; mount --bind /root /etc; mount -t tmpfs none /sys; mount --bind /root /usr/lib/patchbay`,
  );
  expect(verdicts(await grade(broken, hostPeer))).toEqual(["veth/find-host-peer: passed"]);
  // The kernel's own word on a process: nothing that is mounted over it.
  await run(broken, "echo forged > /tmp/forged; mount --bind /tmp/forged /proc/1/environ");
  const hand = broken.host().hand();
  expect(await hand.readFile("/proc/1/environ")).toEqual({ text: "forged\n" });
  expect((await hand.environment(1))["PATH"]).toContain("/usr/bin");
  await run(
    broken,
    "mv /usr/lib/x86_64-linux-gnu/libc.so.6 /usr/lib/x86_64-linux-gnu/gone 2>/dev/null; mount -t tmpfs none /proc",
  );
  expect(verdicts(await grade(broken, hostPeer))).toEqual(["veth/find-host-peer: passed"]);
  nobodyPassed(await grade(broken, exercise("veth/connect-two-namespaces")));
});

test("whoever stops, kills or unmounts everything is told what is broken", async () => {
  const ruin: readonly (readonly [string, RegExp])[] = [
    ["kill -STOP -1", /did not answer within 5 s/],
    ["umount -l -a 2>/dev/null; rm -rf /run/* 2>/dev/null", /./],
    ["pkill -STOP -f lab-init; pkill -KILL -x dockerd; sleep 0.3", /Connection refused/],
    ["kill -KILL -1", /not running|does not run|gone/],
  ];
  for (const [script, words] of ruin) {
    broken = await engine.reset(broken.id);
    // Its own shell may end with the rest.
    await Promise.race([
      run(broken, script).catch(() => ""),
      new Promise((resolve) => setTimeout(resolve, 4000)),
    ]);
    const results = await grade(broken, hostPeer, exercise("veth/connect-two-namespaces"));
    nobodyPassed(results);
    expect([script, said(results)]).toEqual([script, expect.stringMatching(words)]);
  }
  broken = await engine.reset(broken.id);
  expect(verdicts(await grade(broken, hostPeer))).toEqual(["veth/find-host-peer: failed"]);
});

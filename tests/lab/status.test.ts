/** What the page is told of a lab: its engine, how long nobody used it, and what broke. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dockerCommand } from "../../sandbox/docker/command.ts";
import { managedEngineSocket } from "../../sandbox/docker/managed-engine.ts";
import type { LabHost } from "../../sandbox/index.ts";
import type { CourseClient } from "../fixtures/course-client.ts";
import { CourseServer } from "../fixtures/course-server.ts";

let server: CourseServer;
let student: CourseClient;
let labId: string;
let host: LabHost;
const view = async () => (await student.ask("GET", `/api/labs/${labId}`)).body;

beforeAll(async () => {
  server = await CourseServer.start({ idleMs: 600_000 });
  student = await server.student();
  labId = await student.runningLab();
  host = (await server.engine.find(labId)).host();
}, 400_000);

afterAll(() => server?.[Symbol.asyncDispose](), 60_000);

test("tells the engine's version, and how long nobody used the lab", async () => {
  const inside = await host.capture(["docker", "version", "--format", "{{.Server.Version}}"]);
  await student.ask("POST", `/api/labs/${labId}/keep`, {});
  await sleep(300);
  const first = await view();
  expect(first).toMatchObject({ state: "running", idleLimitMs: 600_000 });
  expect(first.engine).toBe(inside.stdout.trim());
  expect(first.idleMs).toBeGreaterThanOrEqual(300);
  expect(first).not.toHaveProperty("problem");
  // Looking is no use; saying so is.
  expect((await view()).idleMs).toBeGreaterThanOrEqual(first.idleMs);
  const kept = (await student.ask("POST", `/api/labs/${labId}/keep`, {})).body;
  expect(kept.idleMs).toBeLessThan(first.idleMs);
  expect(kept.engine).toBe(first.engine);
});

test("says that the engine inside does not answer, and no more once it does again", async () => {
  await host.capture(["pkill", "-STOP", "-x", "dockerd"]);
  await expect.poll(view, { timeout: 20_000, interval: 500 }).toMatchObject({
    state: "running",
    engine: null,
    problemCode: "engine-down",
    problem: expect.stringMatching(/^The Docker engine on host1 does not answer.* reset the lab/),
  });
  await host.capture(["pkill", "-CONT", "-x", "dockerd"]);
  const back = await view();
  expect(back.engine).toMatch(/^\d/);
  expect(back).not.toHaveProperty("problemCode");
});

test("believes no engine that says what no version is", async () => {
  const forge = `import socket, os
os.rename("/run/docker.sock", "/run/true.sock")
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/docker.sock")
listener.listen(8)
while True:
    connection, _ = listener.accept()
    connection.recv(4096)
    body = b'{"Version": {"evil": 1}}'
    connection.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
    connection.close()`;
  await host.capture(["sh", "-c", "cat > /root/forge.py; (setsid python3 /root/forge.py &)"], {
    input: forge,
  });
  await expect
    .poll(view, { timeout: 20_000, interval: 500 })
    .toMatchObject({ engine: null, problemCode: "engine-down" });
  await host.capture(["pkill", "-f", "forge.py"]);
  await host.capture(["mv", "/run/true.sock", "/run/docker.sock"]);
  expect((await view()).engine).toMatch(/^\d/);
});

test("says that a lab was shut down from inside, and brings it back with its files", async () => {
  await host.capture(["sh", "-c", "touch /root/kept; kill 1; sleep 20"]);
  await expect.poll(view, { timeout: 20_000, interval: 500 }).toMatchObject({
    state: "stopped",
    problemCode: "shut-down",
    problem: expect.stringContaining("from inside"),
  });
  expect(await student.runningLab()).toBe(labId);
  expect(await view()).not.toHaveProperty("problem");
  host = (await server.engine.find(labId)).host();
  expect((await host.capture(["ls", "/root"])).stdout).toContain("kept");
});

test("says which host of a lab is down, and brings it back", async () => {
  const id = await student.runningLab("overlay");
  const outer = dockerCommand(`unix://${managedEngineSocket}`);
  await outer("kill", `patchbay.overlay.${id}.host2`);
  const look = async () => (await student.ask("GET", `/api/labs/${id}`)).body;
  expect(await look()).toMatchObject({
    state: "broken",
    problemCode: "host-down",
    problem: "host2 stopped.",
  });
  const check = { exercise: "overlay/vxlan-by-hand" };
  expect((await student.ask("POST", `/api/labs/${id}/checks`, check)).body.error).toMatchObject({
    code: "lab-broken",
    message: "The lab is broken: host2 stopped.",
    fix: expect.stringContaining("reset"),
  });
  expect(await student.runningLab("overlay")).toBe(id);
  expect(await look()).toMatchObject({ state: "running", engine: expect.stringMatching(/^\d/) });
  expect(await look()).not.toHaveProperty("problem");
});

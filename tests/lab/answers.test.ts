/** Answers to exercises: put into the lab by the page, whatever the student has put in the way. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { LabHost } from "../../sandbox/index.ts";
import type { CourseClient } from "../fixtures/course-client.ts";
import { CourseServer } from "../fixtures/course-server.ts";

let server: CourseServer;
let student: CourseClient;
let labId: string;
let host: LabHost;
let path: string;
const folder = "/root/veth/find-host-peer";

beforeAll(async () => {
  server = await CourseServer.start();
  student = await server.student();
  labId = await student.runningLab("veth");
  host = (await server.engine.find(labId)).host();
  path = `/api/labs/${labId}/answers/veth/find-host-peer`;
}, 400_000);

afterAll(() => server?.[Symbol.asyncDispose](), 60_000);

const put = async (answer: unknown) => {
  const { status, body } = await student.ask("PUT", path, { answer });
  return [status, body?.error.code];
};
const read = async () => {
  const { status, body } = await student.ask("GET", path);
  return [status, body.answer ?? body.error.code];
};
const shell = async (script: string) => (await host.capture(["sh", "-c", script])).stdout;

test("puts an answer where the exercise looks for it, and reads it again", async () => {
  expect(await read()).toEqual([200, ""]);
  expect(await put("  veth1a2b3c ")).toEqual([204, undefined]);
  expect(await shell(`cat ${folder}/answer; stat -c '%a %U' ${folder}/answer`)).toBe(
    "veth1a2b3c\n644 root\n",
  );
  expect(await read()).toEqual([200, "veth1a2b3c"]);
  expect(await put("ещё один ответ: $(reboot) `id` 'x' \"y\"")).toEqual([204, undefined]);
  expect(await read()).toEqual([200, "ещё один ответ: $(reboot) `id` 'x' \"y\""]);
  await shell(`echo by-hand > ${folder}/answer`);
  expect(await read()).toEqual([200, "by-hand"]);
  expect(await shell(`ls -A ${folder}`)).toBe("answer\n");
});

test("grades the answer that was put there", async () => {
  const { body } = await student.ask("POST", `/api/labs/${labId}/checks`, {
    exercise: "veth/find-host-peer",
  });
  const given = body.result.checks.find(({ id }: { id: string }) => id === "answer-given");
  expect(given).toMatchObject({ status: "passed" });
});

test("takes one line of bounded size, and nothing else", async () => {
  const invalid = [400, "body-invalid"];
  expect(await put("two\nlines")).toEqual(invalid);
  expect(await put("a\u0000b")).toEqual(invalid);
  expect(await put("\u001b]0;title\u0007")).toEqual(invalid);
  expect(await put("\ud800")).toEqual(invalid);
  expect(await put("я".repeat(2048))).toEqual(invalid);
  expect(await put(7)).toEqual(invalid);
  expect(await put("x".repeat(20_000))).toEqual([413, "body-too-big"]);
  expect(await read()).toEqual([200, "by-hand"]);
  expect(await put("я".repeat(2047))).toEqual([204, undefined]);
  expect(await read()).toEqual([200, "я".repeat(2047)]);
});

test("says what stands in the way, leaves it as it is, and never waits for it", async () => {
  const way = async (script: string) => {
    await shell(`rm -rf ${folder}; mkdir -p ${folder}; cd ${folder}; ${script}`);
    const before = await shell(`ls -lA ${folder}`);
    const outcome = [...(await put("mine")), ...(await read())];
    expect(await shell(`ls -lA ${folder}`)).toBe(before);
    return outcome;
  };
  const link = [409, "file-link", 409, "file-link"];
  expect(await way("ln -s /etc/shadow answer")).toEqual(link);
  expect(await shell("cat /etc/shadow")).not.toContain("mine");
  expect(await way("ln -s /dev/zero answer")).toEqual(link);
  expect(await way("ln -s /nowhere answer")).toEqual(link);
  const special = [409, "file-no-file", 409, "file-no-file"];
  expect(await way("mkfifo answer")).toEqual(special);
  const socket = "python3 -c 'import socket; socket.socket(1).bind(\"answer\")'";
  expect(await way(socket)).toEqual(special);
  const directory = [409, "file-directory", 409, "file-directory"];
  expect(await way("mkdir -p answer/full")).toEqual(directory);
  await shell(`rm -rf ${folder}; mkdir -p ${folder}; yes | head -c 100000 > ${folder}/answer`);
  expect(await read()).toEqual([413, "file-too-big"]);
  await shell("rm -rf /root/veth; mkdir /root/elsewhere; ln -s /root/elsewhere /root/veth");
  expect(await put("mine")).toEqual([409, "file-link"]);
  expect(await shell("ls /root/elsewhere")).toBe("");
  await shell("rm -rf /root/veth");
  expect(await put("mine")).toEqual([204, undefined]);
});

test("needs no program of the lab's", async () => {
  await shell("chmod -x /usr/bin/cat /usr/bin/mv /usr/bin/mktemp /usr/bin/mkdir");
  expect(await put("without programs")).toEqual([204, undefined]);
  expect(await read()).toEqual([200, "without programs"]);
  await shell("chmod +x /usr/bin/cat /usr/bin/mv /usr/bin/mktemp /usr/bin/mkdir");
});

test("is for the session's own lab, and the exercises that it has", async () => {
  const other = await server.student();
  for (const method of ["GET", "PUT"]) {
    const body = method === "PUT" ? { answer: "x" } : undefined;
    expect((await other.ask(method, path, body)).status).toBe(404);
    const ask = (where: string) => student.ask(method, `/api/labs/${labId}/answers/${where}`, body);
    expect((await ask("veth/nothing")).body.error.code).toBe("exercise-not-found");
    expect((await ask("..%2f..%2fetc/passwd")).body.error.code).toBe("exercise-not-found");
    expect((await ask("bridge/by-hand")).body.error.code).toBe("other-lab");
  }
  const evil = { origin: "http://evil.example" };
  expect((await student.ask("PUT", path, { answer: "x" }, evil)).status).toBe(403);
});

/** Files of a real lab through the course server: edited, watched, and what a student may put in the way. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Lab, SandboxEngine } from "../../sandbox/index.ts";
import { openSandbox } from "../../sandbox/open.ts";
import { FILE_BYTES } from "../../src/server/files.ts";
import { type RunningServer, serve } from "../../src/server/serve.ts";
import { CourseClient } from "../fixtures/course-client.ts";

let folder: string;
let engine: SandboxEngine;
let server: RunningServer;
let lab: Lab;
const client = new CourseClient(() => server.url);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "pb-"));
  mkdirSync(join(folder, "site"));
  writeFileSync(join(folder, "site", "index.html"), "<!doctype html><title>Course</title>");
  engine = await openSandbox({ engine: "managed" });
  await engine.prepare();
  server = await serve({
    engine,
    host: "127.0.0.1",
    port: 0,
    siteDir: join(folder, "site"),
    stateDir: join(folder, "state"),
    log: () => undefined,
  });
  await client.visit();
  lab = await engine.find(await client.runningLab("overlay"));
}, 400_000);

afterAll(async () => {
  if (lab !== undefined) await engine.down(lab.id);
  await server?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

/** Runs a script on the lab host as the student would. */
async function lives(script: string, host?: string): Promise<string> {
  const { exitCode, stdout, stderr } = await lab.host(host).capture(["bash", "-c", script]);
  expect(exitCode, stderr).toBe(0);
  return stdout;
}
const filesOf = (labId: string) => `/api/labs/${labId}/files`;
const get = (path: string, host?: string) => {
  const query = new URLSearchParams({ path, ...(host && { host }) });
  return client.ask("GET", `${filesOf(lab.id)}?${query}`);
};
const put = (path: string, text: string, version?: string, host?: string) =>
  client.ask("PUT", filesOf(lab.id), { path, text, version, host });
const codeOf = async (answer: Promise<{ status: number; body: { error?: { code: string } } }>) => {
  const { status, body } = await answer;
  return `${status} ${body.error?.code}`;
};

describe("a file", () => {
  test("is made with its folders, read, saved again, and listed", async () => {
    const made = await put("/root/app/compose.yaml", "services: {}\n");
    expect(made.status).toBe(200);
    expect(await lives("cat /root/app/compose.yaml; stat -c %a:%U /root/app/compose.yaml")).toBe(
      "services: {}\n644:root\n",
    );
    const read = await get("/root/app/compose.yaml");
    expect(read.body).toEqual({
      kind: "file",
      path: "/root/app/compose.yaml",
      text: "services: {}\n",
      version: made.body.version,
      bytes: 13,
    });
    const text = "services:\n  сеть: 🐳\r\n\uFEFFx\n";
    const saved = await put("/root/app/compose.yaml", text, made.body.version);
    expect(saved.status).toBe(200);
    expect((await get("/root/app/../app//compose.yaml")).body.text).toBe(text);
    await lives(
      "mkdir -p /root/app/b && ln -s /etc/passwd /root/app/link && mkfifo /root/app/pipe",
    );
    expect((await get("/root/app")).body).toEqual({
      kind: "directory",
      path: "/root/app",
      entries: [
        { name: "b", kind: "directory", bytes: expect.any(Number) },
        { name: "compose.yaml", kind: "file", bytes: Buffer.byteLength(text) },
        { name: "link", kind: "link", bytes: 11 },
        { name: "pipe", kind: "other", bytes: 0 },
      ],
      more: false,
    });
  });

  test("of another host is that host's", async () => {
    await put("/root/where", "two\n", undefined, "host2");
    expect((await get("/root/where", "host2")).body.text).toBe("two\n");
    expect(await codeOf(get("/root/where"))).toBe("404 file-not-found");
    expect(await codeOf(get("/root", "host3"))).toBe("404 host-not-found");
  });

  test("keeps its mode and its owner, and is never seen half written", async () => {
    await lives("printf old > /root/script; chown 33:44 /root/script; chmod 4751 /root/script");
    const { version } = (await get("/root/script")).body;
    const long = "x".repeat(FILE_BYTES - 4);
    const reading = lives(
      "for i in $(seq 400); do stat -c %s /root/script; sleep 0.002; done | sort -u",
    );
    let saved = await put("/root/script", long, version);
    for (const text of ["old", long, "old", long]) {
      saved = await put("/root/script", text, saved.body.version);
      expect(saved.status).toBe(200);
    }
    expect((await reading).trim().split("\n").sort()).toEqual([String(long.length), "3"]);
    expect(await lives("stat -c %a:%u:%g /root/script; ls -A /root | grep patchbay | wc -l")).toBe(
      "4751:33:44\n0\n",
    );
  });

  test("that changed meanwhile is not overwritten, and neither is one that is thought to be new", async () => {
    const { version } = (await put("/root/shared", "mine\n")).body;
    await lives("echo theirs > /root/shared");
    expect(await codeOf(put("/root/shared", "mine again\n", version))).toBe("409 file-changed");
    expect(await codeOf(put("/root/shared", "a new one\n"))).toBe("409 file-changed");
    expect(await lives("cat /root/shared")).toBe("theirs\n");
    await lives("rm /root/shared");
    expect(await codeOf(put("/root/shared", "mine again\n", version))).toBe("409 file-changed");
  });

  test("is unchanged where the disk is full, and the answer says what to do", async () => {
    const { version } = (await put("/root/precious", "kept\n")).body;
    await lives(`cd /root; fallocate -l $(df --output=avail --block-size=1 . | tail -1) ballast
      for i in 1 2 3; do dd if=/dev/zero bs=4k >> ballast 2>/dev/null; sync; done; true`);
    const answer = await put("/root/precious", "y".repeat(200_000), version);
    await lives("rm /root/ballast");
    expect(answer.status).toBe(507);
    expect(answer.body.error).toMatchInlineSnapshot(`
      {
        "code": "file-disk-full",
        "fix": "Make room in a terminal: docker system prune, rm.",
        "message": "/root/precious was not saved: the lab's disk is full. It is unchanged.",
      }
    `);
    expect(await lives("cat /root/precious; ls -A /root | grep -c patchbay || true")).toBe(
      "kept\n0\n",
    );
  });
});

describe("is refused with a sentence:", () => {
  test("what is no text to edit", async () => {
    await lives(`cd /root && mkdir -p odd && cd odd
      mkfifo fifo; ln -s /etc/shadow link; ln -s /etc folderlink; ln -s loop loop
      printf '\\377\\376' > latin; printf 'a\\0b' > nul; truncate -s 1G huge; mkdir folder
      python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'`);
    const asked = {
      fifo: "/root/odd/fifo",
      socket: "/root/odd/socket",
      link: "/root/odd/link",
      behindLink: "/root/odd/folderlink/hostname",
      loop: "/root/odd/loop",
      latin: "/root/odd/latin",
      nul: "/root/odd/nul",
      huge: "/root/odd/huge",
      kernelLog: "/proc/kmsg",
      device: "/dev/zero",
      self: "/proc/self/root/etc/hostname",
      engine: "/var/lib/docker/engine-id",
      relative: "etc/passwd",
      control: "/root/a\u0000b",
      endless: `/${"a/".repeat(3000)}`,
      longName: `/root/${"n".repeat(300)}`,
    };
    const answers: Record<string, string> = {};
    for (const [name, path] of Object.entries(asked)) {
      const startMs = performance.now();
      const { status, body } = await get(path);
      const { code, message, fix } = body.error;
      answers[name] = `${status} ${code}: ${[message, fix].filter(Boolean).join(" ")}`.slice(
        0,
        200,
      );
      expect(performance.now() - startMs, name).toBeLessThan(3000);
    }
    expect(answers).toMatchInlineSnapshot(`
      {
        "behindLink": "409 file-link: /root/odd/folderlink/hostname is a link, or lies behind one. Open the file that the link leads to.",
        "control": "400 path-invalid: A path has no control characters.",
        "device": "409 file-elsewhere: /dev/zero is not on the lab's own disk: another file system is mounted there. Look at it in a terminal.",
        "endless": "400 path-invalid: A path has at most 4095 bytes.",
        "engine": "409 file-elsewhere: /var/lib/docker/engine-id is not on the lab's own disk: another file system is mounted there. Look at it in a terminal.",
        "fifo": "409 file-no-file: /root/odd/fifo is no regular file: a FIFO, a socket or a device has no text to edit.",
        "huge": "413 file-too-big: /root/odd/huge has 1048576 KB; the editor takes at most 256 KB. Look at it in a terminal: less does well.",
        "kernelLog": "409 file-elsewhere: /proc/kmsg is not on the lab's own disk: another file system is mounted there. Look at it in a terminal.",
        "latin": "409 file-binary: /root/odd/latin is no text in UTF-8. Look at it in a terminal: hexdump -C shows bytes.",
        "link": "409 file-link: /root/odd/link is a link, or lies behind one. Open the file that the link leads to.",
        "longName": "409 file-name-too-long: A name has at most 255 bytes.",
        "loop": "409 file-link: /root/odd/loop is a link, or lies behind one. Open the file that the link leads to.",
        "nul": "409 file-binary: /root/odd/nul is no text in UTF-8. Look at it in a terminal: hexdump -C shows bytes.",
        "relative": "400 path-invalid: A path starts with /: /root/compose.yaml",
        "self": "409 file-elsewhere: /proc/self/root/etc/hostname is not on the lab's own disk: another file system is mounted there. Look at it in a terminal.",
        "socket": "409 file-no-file: /root/odd/socket is no regular file: a FIFO, a socket or a device has no text to edit.",
      }
    `);
  });

  test("a save over what is none, or of what is no text", async () => {
    expect(await codeOf(put("/root/odd/fifo", "x"))).toBe("409 file-no-file");
    expect(await codeOf(put("/root/odd/link", "x"))).toBe("409 file-link");
    expect(await codeOf(put("/root/odd/folderlink/new", "x"))).toBe("409 file-link");
    expect(await codeOf(put("/root/odd/folder", "x"))).toBe("409 file-directory");
    expect(await codeOf(put("/root/odd/folder/", "x"))).toBe("409 file-directory");
    expect(await codeOf(put("/proc/sys/kernel/core_pattern", "|/x"))).toBe("409 file-elsewhere");
    expect(await codeOf(put("/root/odd/huge", "x"))).toBe("413 file-too-big");
    expect(await codeOf(put("/root/new", "y".repeat(FILE_BYTES + 1)))).toBe("413 file-too-big");
    expect(await codeOf(put("/root/new", "half \ud83d"))).toBe("409 file-binary");
    expect(await codeOf(put("/root/new", "\u0001".repeat(FILE_BYTES)))).toBe("200 undefined");
    expect(await lives("cat /etc/shadow | head -c 4; test ! -e /etc/new && echo ' no new'")).toBe(
      "root no new\n",
    );
  });

  test("another student's lab, without a word on whether it is there", async () => {
    const other = new CourseClient(() => server.url);
    await other.visit();
    const path = `${filesOf(lab.id)}?path=/root`;
    const foreign = await other.ask("GET", path);
    const none = await other.ask("GET", `${filesOf("overlay-00000000")}?path=/root`);
    expect(foreign).toEqual(none);
    expect(foreign.status).toBe(404);
    expect(await codeOf(other.ask("PUT", filesOf(lab.id), { path: "/root/x", text: "" }))).toBe(
      "404 lab-not-found",
    );
    expect(
      await codeOf(other.ask("GET", `${filesOf(lab.id)}/watch?path=/root/app/compose.yaml`)),
    ).toBe("404 lab-not-found");
  });

  test("a way out of the lab, also while folders and links take each other's places", async () => {
    await lives(`mkdir -p /root/race/real && echo inside > /root/race/real/hostname
      ln -sfn /etc /root/race/away; cp -r /root/race/real /root/race/spot
      (timeout 6 python3 - <<'PY' &
import ctypes
libc = ctypes.CDLL(None)
while True:
    libc.renameat2(-100, b"/root/race/spot", -100, b"/root/race/away", 2)
PY
) >/dev/null 2>&1`);
    const seen = new Set<string>();
    for (let round = 0; round < 60; round++) {
      const { body } = await get("/root/race/spot/hostname");
      seen.add(body.text ?? body.error.code);
      const written = await put("/root/race/spot/planted", "x");
      seen.add(written.status === 200 ? "written" : written.body.error.code);
    }
    expect([...seen].sort()).not.toContain("host1\n");
    expect(seen).toContain("inside\n");
    expect(await lives("ls /etc/planted 2>/dev/null | wc -l")).toBe("0\n");
  });

  test("the machine's own files, whatever is mounted or named in the lab", async () => {
    await lives("mkdir -p /root/mounted && mount -t proc proc /root/mounted");
    expect(await codeOf(get("/root/mounted/1/root/etc/hostname"))).toBe("409 file-elsewhere");
    expect(await codeOf(get("/root/mounted"))).toBe("409 file-elsewhere");
    await lives("umount /root/mounted");
    expect((await get("/../../../etc/hostname")).body.text).toBe("host1\n");
  });
});

describe("a watch", () => {
  async function* news(path: string, signal: AbortSignal) {
    const response = await fetch(
      new URL(`${filesOf(lab.id)}/watch?path=${encodeURIComponent(path)}`, server.url),
      { headers: { cookie: client.cookie }, signal },
    );
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    let rest = "";
    for await (const chunk of response.body ?? []) {
      rest += Buffer.from(chunk).toString();
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line) as { version: string | null };
    }
  }

  test("tells each change, a removal and a return, and not a touch", async () => {
    const controller = new AbortController();
    const first = (await put("/root/watched", "one\n")).body.version;
    const stream = news("/root/watched", controller.signal);
    const next = async () => (await stream.next()).value?.version;
    expect(await next()).toBe(first);
    await lives("touch /root/watched; sleep 2; echo two > /root/watched");
    const second = await next();
    expect(second).toBe((await get("/root/watched")).body.version);
    expect(second).not.toBe(first);
    await lives("rm /root/watched");
    expect(await next()).toBeNull();
    await lives("printf 'one\\n' > /root/watched");
    expect(await next()).toBe(first);
    await lives("rm /root/watched; mkfifo /root/watched");
    expect(await next()).toBeNull();
    controller.abort();
  });

  test("ends for a newer one where a session has too many, and takes no inotify watch of the lab", async () => {
    const controller = new AbortController();
    const streams = Array.from({ length: 6 }, () =>
      news("/root/app/compose.yaml", controller.signal),
    );
    for (const stream of streams) expect((await stream.next()).done).toBe(false);
    const ends = await Promise.all(streams.slice(0, 2).map((stream) => stream.next()));
    expect(ends.map(({ done }) => done)).toEqual([true, true]);
    controller.abort();
  });
});

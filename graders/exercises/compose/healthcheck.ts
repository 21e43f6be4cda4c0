import { setTimeout as sleep } from "node:timers/promises";
import type { LabHost } from "../../../sandbox/index.ts";
import { composeFileOf, serviceContainers } from "../../checks/compose-project.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { ask, create, inspectContainer } from "../../facts/inner-engine.ts";
import { type ContainerModel, firstHost } from "../../facts/model.ts";

const PATIENCE_MS = 40_000;
const POLL_MS = 250;

const runs = check<ContainerModel>({
  id: "server-runs",
  title: "Service server of a compose file runs, with a health check",
  async run({ lab, facts, signal }) {
    const found = serviceContainers(firstHost(await facts()), "server").find(
      ({ running }) => running,
    );
    const expected = "a running container of service server, whose health Docker checks";
    if (found === undefined) return fail(expected, "no such service runs");
    const { State } = await inspectContainer(lab.host(), found.id, signal);
    if (State.Health) return pass(found, State.Health.Status);
    const read = await composeFileOf(lab.host(), found, signal);
    const where =
      "file" in read ? ` (${read.file.where("services", "server", "healthcheck")})` : "";
    return fail(
      expected,
      `${found.name} has no health check${where}`,
      "healthcheck: test: …; the test runs inside the container.",
    );
  },
});

/** Waits until Docker calls the container so; resolves with the last that it said. */
async function becomes(
  host: LabHost,
  id: string,
  wanted: string,
  signal: AbortSignal,
): Promise<string> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const { State } = await inspectContainer(host, id, signal);
    const status = State.Running ? (State.Health?.Status ?? "none") : "ended";
    if (status === wanted || performance.now() > deadlineMs) return status;
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** Runs a command in a container and waits for its end. */
async function run(host: LabHost, id: string, Cmd: readonly string[]): Promise<void> {
  const exec = await create(host, `/containers/${id}/exec`, { Cmd });
  await ask(host, { method: "POST", path: `/exec/${exec}/start`, body: { Detach: false } });
}

const healthy = check({
  id: "goes-healthy",
  title: "While the app works, it is healthy",
  needs: { server: runs },
  timeoutMs: PATIENCE_MS + 10_000,
  async run({ lab, server, signal }) {
    const status = await becomes(lab.host(), server.id, "healthy", signal);
    return status === "healthy"
      ? pass()
      : fail(
          "healthy",
          status,
          "docker inspect shows what the test printed, under State.Health.Log",
        );
  },
});

const notices = check({
  id: "notices-and-recovers",
  title: "When the app breaks it becomes unhealthy, and healthy again when it is mended",
  disruption: "breaks the app for a while",
  needs: { server: runs, healthy },
  timeoutMs: 2 * PATIENCE_MS + 20_000,
  async run({ lab, server, signal }) {
    const host = lab.host();
    const expected = "unhealthy while /status answers with an error, then healthy again";
    // What the image's app takes as its breakdown; see its app.py.
    await run(host, server.id, ["touch", "/tmp/broken"]);
    let broken: string;
    try {
      broken = await becomes(host, server.id, "unhealthy", signal);
    } finally {
      await run(host, server.id, ["rm", "-f", "/tmp/broken"]);
    }
    if (broken !== "unhealthy") {
      const hint =
        "The test must ask the app itself: curl --fail http://localhost:8080/status ends with an error where the app does.";
      return fail(
        expected,
        `the app was broken for ${PATIENCE_MS / 1000} s, and it stayed ${broken}`,
        hint,
      );
    }
    const again = await becomes(host, server.id, "healthy", signal);
    return again === "healthy"
      ? pass()
      : fail(expected, `it stayed ${again} after the app was mended`);
  },
});

const FOLDER = "/root/compose/healthcheck";
const up = (healthcheck: string, service = "server") =>
  `mkdir -p ${FOLDER} && cd ${FOLDER} && cat > compose.yaml <<'Y'
services:
  ${service}:
    image: server
${healthcheck}
Y
docker compose up -d && sleep 1\n`;
const test = (command: string, more = "interval: 1s\n      timeout: 2s\n      retries: 2") =>
  `    healthcheck:\n      test: ${command}\n      ${more}`;

export const healthcheck: Exercise = {
  id: "compose/healthcheck",
  title: "A health check that tells the truth",
  lesson: "compose",
  lab: "compose",
  requires: [],
  checks: [runs, healthy, notices],
  solutions: [
    {
      name: "lecture",
      title: "As the lecture writes it",
      script: up(
        test(
          '"curl --fail http://localhost:8080/status || exit 1"',
          "interval: 5s\n      timeout: 2s\n      retries: 3\n      start_period: 5s",
        ),
      ),
    },
    {
      name: "exec-form",
      title: "Without a shell, by wget",
      script: up(test('["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/status"]')),
    },
    {
      name: "python",
      title: "By Python",
      script: up(
        test(
          `["CMD", "python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/status')"]`,
        ),
      ),
    },
  ],
  wrongAnswers: [
    { name: "none", title: "No health check", rejectedBy: "server-runs", script: up("") },
    {
      name: "always-true",
      title: "One that cannot fail",
      rejectedBy: "notices-and-recovers",
      script: up(test('["CMD", "true"]')),
    },
    {
      name: "wrong-port",
      title: "One that asks nobody",
      rejectedBy: "goes-healthy",
      script: up(test('"curl --fail http://localhost:80/status"')),
    },
    {
      name: "without-fail",
      title: "curl that takes an error page for success",
      rejectedBy: "notices-and-recovers",
      script: up(test('"curl -s http://localhost:8080/status"')),
    },
    {
      name: "other-page",
      title: "It asks a page that works though the app is broken",
      rejectedBy: "notices-and-recovers",
      script: up(test('"curl --fail http://localhost:8080/"')),
    },
    {
      name: "other-service",
      title: "The service has another name",
      rejectedBy: "server-runs",
      script: up(test('["CMD", "true"]'), "web"),
    },
  ],
};

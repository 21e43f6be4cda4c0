import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type LabHost, SandboxError } from "../../../sandbox/index.ts";
import { composeFileOf, serviceContainers } from "../../checks/compose-project.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { en, ru, type Text } from "../../core/text.ts";
import { ask, create, inspectContainer } from "../../facts/inner-engine.ts";
import { firstHost } from "../../facts/model.ts";

const POLL_MS = 250;
/** What comes on top of the schedule, for a busy machine. */
const GRACE_MS = 5000;
/** A schedule that takes longer to notice is not waited for: its test alone is looked at. */
const LONGEST_MS = 35_000;
const NS_PER_MS = 1e6;

/** What the engine says of a container's health check; durations of 0 are its defaults. */
const inspection = z.object({
  Config: z.object({
    Shell: z.array(z.string()).nullish(),
    Healthcheck: z
      .object({
        Test: z.array(z.string()).nullish(),
        Interval: z.number().default(0),
        Timeout: z.number().default(0),
        Retries: z.number().default(0),
      })
      .nullish(),
  }),
});

/** A container whose health Docker checks, and how. */
interface Checked {
  readonly id: string;
  /** The command that Docker runs in the container. */
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly retries: number;
}

async function healthCheckOf(
  host: LabHost,
  id: string,
  signal: AbortSignal,
): Promise<Checked | undefined> {
  const { Config } = inspection.parse(await ask(host, { path: `/containers/${id}/json`, signal }));
  const [kind, ...rest] = Config.Healthcheck?.Test ?? [];
  if (Config.Healthcheck == null || kind === undefined || kind === "NONE") return undefined;
  const { Interval, Timeout, Retries } = Config.Healthcheck;
  const shell = Config.Shell ?? ["/bin/sh", "-c"];
  return {
    id,
    command: kind === "CMD-SHELL" ? [...shell, ...rest] : rest,
    intervalMs: Interval / NS_PER_MS || 30_000,
    timeoutMs: Timeout / NS_PER_MS || 30_000,
    retries: Retries || 3,
  };
}

const runs = check<Checked>({
  id: "server-runs",
  title: {
    en: "Service server of a compose file runs, with a health check",
    ru: "Сервис server из файла compose работает, и у него есть проверка здоровья",
  },
  async run({ lab, facts, signal }) {
    const found = serviceContainers(firstHost(await facts()), "server").find(
      ({ running, paused }) => running && !paused,
    );
    const expected = {
      en: "a running container of service server, whose health Docker checks",
      ru: "работающий контейнер сервиса server, здоровье которого проверяет Docker",
    };
    if (found === undefined) {
      return fail(expected, { en: "no such service runs", ru: "такой сервис не работает" });
    }
    const checked = await healthCheckOf(lab.host(), found.id, signal);
    if (checked !== undefined) return pass(checked, found.health ?? "");
    const read = await composeFileOf(lab.host(), found, signal);
    const where =
      "file" in read ? ` (${read.file.where("services", "server", "healthcheck")})` : "";
    return fail(
      expected,
      {
        en: `${found.name} has no health check${where}`,
        ru: `у ${found.name} нет проверки здоровья${where}`,
      },
      {
        en: "healthcheck: test: …; the test runs inside the container.",
        ru: "healthcheck: test: …; команда test выполняется внутри контейнера.",
      },
    );
  },
});

/** Waits until Docker calls the container so; resolves with the last that it said. */
async function becomes(
  host: LabHost,
  id: string,
  wanted: string,
  patienceMs: number,
  signal: AbortSignal,
): Promise<string> {
  const deadlineMs = performance.now() + patienceMs;
  for (;;) {
    const { State } = await inspectContainer(host, id, signal);
    const status = State.Running ? (State.Health?.Status ?? "none") : "ended";
    if (status === wanted || performance.now() > deadlineMs) return status;
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** Runs a command in a container, and resolves with its exit code; undefined where it did not end in time. */
async function run(
  host: LabHost,
  id: string,
  Cmd: readonly string[],
  timeoutMs = 5000,
): Promise<number | undefined> {
  const Id = await create(host, `/containers/${id}/exec`, { Cmd });
  const start = { method: "POST", path: `/exec/${Id}/start`, body: { Detach: false } } as const;
  try {
    await ask(host, { ...start, timeoutMs });
  } catch (error) {
    if (!(error instanceof SandboxError) || error.code !== "inner-engine-timeout") throw error;
    const { Pid } = (await ask(host, { path: `/exec/${Id}/json` })) as { Pid?: number };
    // Docker ends what its own test started, too.
    if (Pid) await host.capture(["kill", "-9", String(Pid)]);
    return undefined;
  }
  // The engine learns that a command has ended a moment after its output has.
  const deadlineMs = performance.now() + 5000;
  for (;;) {
    const { ExitCode } = (await ask(host, { path: `/exec/${Id}/json` })) as { ExitCode?: number };
    if (typeof ExitCode === "number") return ExitCode;
    if (performance.now() > deadlineMs) return undefined;
    await sleep(20);
  }
}

/** The health check's own command, run as Docker runs it. */
const tested = (host: LabHost, { id, command, timeoutMs }: Checked) =>
  run(host, id, command, Math.min(timeoutMs, 10_000));

const LOG = {
  en: "docker inspect shows what the test printed, under State.Health.Log",
  ru: "что напечатала команда test, покажет docker inspect, в State.Health.Log",
};
/** How a test ended, after “its test”. */
const told = (code: number | undefined): Text =>
  code === undefined
    ? { en: "did not end in time", ru: "не закончилась вовремя" }
    : { en: `ended with code ${code}`, ru: `закончилась с кодом ${code}` };

const healthy = check({
  id: "goes-healthy",
  title: {
    en: "While the app works, it is healthy",
    ru: "Пока приложение работает, контейнер healthy",
  },
  needs: { server: runs },
  timeoutMs: LONGEST_MS + 20_000,
  async run({ lab, server, signal }) {
    const host = lab.host();
    const { id, intervalMs, timeoutMs } = server;
    const now = await becomes(host, id, "healthy", 0, signal);
    if (now === "healthy") return pass();
    const patienceMs = Math.min(intervalMs + timeoutMs, LONGEST_MS) + GRACE_MS;
    // The app itself needs a moment after its start.
    const deadlineMs = performance.now() + Math.min(patienceMs, GRACE_MS);
    let code = await tested(host, server);
    while (code !== 0 && code !== undefined && performance.now() < deadlineMs) {
      await sleep(POLL_MS, undefined, { signal });
      code = await tested(host, server);
    }
    if (code !== 0) {
      const ended = told(code);
      const actual = { en: en`${now}: its test ${ended}`, ru: ru`${now}: команда test ${ended}` };
      return fail("healthy", actual, LOG);
    }
    const status = await becomes(host, id, "healthy", patienceMs, signal);
    return status === "healthy" ? pass() : fail("healthy", status, LOG);
  },
});

const notices = check({
  id: "notices-and-recovers",
  title: {
    en: "When the app breaks it becomes unhealthy, and healthy again when it is mended",
    ru: "Когда приложение ломается, контейнер становится unhealthy, а после починки снова healthy",
  },
  disruption: { en: "breaks the app for a while", ru: "на время ломает приложение" },
  needs: { server: runs, healthy },
  timeoutMs: 2 * LONGEST_MS + 60_000,
  async run({ lab, server, signal }) {
    const host = lab.host();
    const { id, intervalMs, timeoutMs, retries } = server;
    const expected = {
      en: "unhealthy while /status answers with an error, then healthy again",
      ru: "unhealthy, пока /status отвечает ошибкой, затем снова healthy",
    };
    const noticeMs = intervalMs * (retries + 1);
    const waits = noticeMs <= LONGEST_MS;
    // What the image's app takes as its breakdown; see its app.py.
    await run(host, id, ["touch", "/tmp/broken"]);
    try {
      if ((await tested(host, server)) === 0) {
        return fail(
          expected,
          {
            en: "its test ends with code 0 while the app is broken",
            ru: "приложение сломано, а команда test заканчивается с кодом 0",
          },
          {
            en: "The test must ask the app itself: curl --fail http://localhost:8080/status ends with an error where the app does.",
            ru: "Команда test должна спрашивать само приложение: curl --fail http://localhost:8080/status завершается ошибкой, когда ошибкой отвечает оно.",
          },
        );
      }
      if (waits) {
        const status = await becomes(host, id, "unhealthy", noticeMs + timeoutMs, signal);
        if (status !== "unhealthy") {
          const seconds = Math.round((noticeMs + timeoutMs) / 1000);
          const actual = {
            en: `after ${seconds} s of a broken app it is ${status}`,
            ru: `приложение сломано уже ${seconds} с, а контейнер — ${status}`,
          };
          return fail(expected, actual, LOG);
        }
      }
    } finally {
      await run(host, id, ["rm", "-f", "/tmp/broken"]);
    }
    const code = await tested(host, server);
    if (code !== 0) {
      const ended = told(code);
      const actual = {
        en: en`its test ${ended} though the app works again`,
        ru: ru`команда test ${ended}, хотя приложение снова работает`,
      };
      return fail(expected, actual, LOG);
    }
    if (!waits) {
      const seconds = Math.round(noticeMs / 1000);
      return pass(undefined, {
        en: `Docker would notice within ${seconds} s`,
        ru: `Docker заметил бы это за ${seconds} с`,
      });
    }
    const again = await becomes(host, id, "healthy", intervalMs + timeoutMs + GRACE_MS, signal);
    return again === "healthy"
      ? pass()
      : fail(expected, {
          en: `it stayed ${again} after the app was mended`,
          ru: `приложение починено, а контейнер остался ${again}`,
        });
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
  title: {
    en: "A health check that tells the truth",
    ru: "Проверка здоровья, которая говорит правду",
  },
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
      name: "defaults",
      title: "With the engine's own interval of half a minute",
      script: up(test('"curl --fail http://localhost:8080/status"', "timeout: 2s")),
    },
    {
      name: "in-the-image",
      title: "In the Dockerfile",
      script: `mkdir -p ${FOLDER}/image && cd ${FOLDER} && cat > image/Dockerfile <<'D'
FROM server
HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD curl --fail http://localhost:8080/status
D
printf 'services: {server: {build: ./image}}\\n' > compose.yaml
docker compose up -d --build && sleep 1\n`,
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
      name: "takes-forever",
      title: "One that never ends",
      rejectedBy: "goes-healthy",
      script: up(
        test('["CMD", "sleep", "infinity"]', "interval: 1s\n      timeout: 1s\n      retries: 2"),
      ),
    },
    {
      name: "file-of-its-own",
      title: "One that looks at a file, and not at the app",
      rejectedBy: "notices-and-recovers",
      script: up(test('"test -e /app/app.py"')),
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

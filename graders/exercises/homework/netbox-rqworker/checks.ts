import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type LabHost, type ProcessFacts, SandboxError } from "../../../../sandbox/index.ts";
import { check, type Failed, fail, pass } from "../../../core/exercise.ts";
import { NoVerdict } from "../../../core/fault.ts";
import { counted, en, inLanguage, joined, ru, type Text, words } from "../../../core/text.ts";
import { collectHost } from "../../../facts/collect.ts";
import type { ContainerModel, HostModel } from "../../../facts/model.ts";
import { list } from "../../../facts/model.ts";
import { containersOf, FOLDER, fileProblems } from "./project.ts";
import { addressOf, readSettings, type Settings } from "./stack.ts";
import { TrustedContainer } from "./trusted-container.ts";
import {
  askQueue,
  descends,
  QUEUES,
  type Queue,
  type Survey,
  surveyWorkers,
  type Worker,
} from "./workers.ts";

export const FEWEST = 5;
export const MOST = 10;
/** Entries that do not count, each told with its reason. */
const TOLD = 5;
/** Jobs beyond one for each worker: for a worker that comes back while the check runs. */
const SPARE_JOBS = 2;
const POLL_MS = 300;
/** A stack that has just been started is waited for. */
const START_PATIENCE_MS = 120_000;
/** Workers that have just been started: each loads all of NetBox, which takes seconds of a processor. */
const WORKERS_PATIENCE_MS = 180_000;
/** Who has used hardly any processor for so long does not start any more, however busy the machine is. */
const IDLE_MS = 8000;
/** Of one processor: a worker that waits uses half a percent, one that starts as much as it gets. */
const IDLE_SHARE = 0.03;
/** NetBox's own code in the grader's container, until its jobs are queued. */
const PROBE_BOOT_MS = 60_000;
/** A job that is queued is taken at once where a worker is free. */
const PICKUP_MS = 15_000;
const PROBE_SECONDS = 60;

const START = `cd ${FOLDER} && docker compose up -d`;

const workersOf = (count: number) => counted(count, "воркер", "воркера", "воркеров");

/** The sentence that a check says while it waits. */
type Progress = (text: Text) => void;

async function withFiles(host: LabHost, failure: Failed, signal: AbortSignal): Promise<Failed> {
  const problems = await fileProblems(host, signal);
  if (problems.length === 0) return failure;
  const told = joined(problems, "; ");
  return fail(
    failure.expected,
    {
      en: en`${failure.actual}; compose can't read the project: ${told}`,
      ru: ru`${failure.actual}; compose не может прочитать проект: ${told}`,
    },
    {
      en: `Mend the file; ${FOLDER} has it. Then: docker compose up -d`,
      ru: `Исправьте файл, он лежит в ${FOLDER}. Потом: docker compose up -d`,
    },
  );
}

/** What is up with the services that NetBox needs, in words. */
function statesOf(host: HostModel): Text {
  const services = ["netbox", "postgres", "redis", "redis-cache"];
  const states = services.map((service): Text => {
    const [first] = containersOf(host, service);
    if (first === undefined) {
      return { en: `${service}: no container`, ru: `${service}: контейнера нет` };
    }
    const { state, health } = first;
    return words`${service}: ${state === "running" ? (health ?? { en: "runs", ru: "работает" }) : state}`;
  });
  return joined(states, ", ");
}

export const stackRuns = check<ContainerModel>({
  id: "stack-runs",
  title: { en: "NetBox runs and answers", ru: "NetBox работает и отвечает" },
  timeoutMs: START_PATIENCE_MS + 30_000,
  async run({ lab, progress, signal }) {
    const host = lab.host();
    const expected = {
      en: "service netbox runs, and its health check says healthy",
      ru: "сервис netbox работает, и проверка здоровья говорит healthy",
    };
    const deadlineMs = performance.now() + START_PATIENCE_MS;
    for (;;) {
      const now = await collectHost(host, signal);
      const web = containersOf(now, "netbox").find(({ running, paused }) => running && !paused);
      const waits = containersOf(now, "netbox").some(
        ({ state }) => state === "created" || state === "restarting",
      );
      if (web !== undefined && web.health !== "starting" && web.health !== "unhealthy") {
        const unchecked = { en: "without a health check", ru: "без проверки здоровья" };
        return pass(web, words`${web.name}, ${web.health ?? unchecked}`);
      }
      const coming = web === undefined ? waits : web.health === "starting";
      if (!coming || performance.now() > deadlineMs) {
        const hint = coming
          ? {
              en: `See what it waits for: cd ${FOLDER} && docker compose logs netbox`,
              ru: `Посмотрите, чего он ждёт: cd ${FOLDER} && docker compose logs netbox`,
            }
          : { en: `Start the stack: ${START}`, ru: `Запустите сервисы: ${START}` };
        return withFiles(host, fail(expected, statesOf(now), hint), signal);
      }
      progress({
        en: en`NetBox is still starting: ${statesOf(now)}`,
        ru: ru`NetBox ещё запускается: ${statesOf(now)}`,
      });
      await sleep(1000, undefined, { signal });
    }
  },
});

interface Found {
  readonly queue: Queue;
  readonly settings: Settings;
}

export const queueFound = check({
  id: "queue-found",
  title: {
    en: "Its job queues lie in a Redis that answers",
    ru: "Его очереди заданий лежат в Redis, который отвечает",
  },
  needs: { web: stackRuns },
  timeoutMs: 60_000,
  async run({ lab, web, signal }) {
    const host = lab.host();
    const settings = await readSettings(host, web, signal);
    const expected = {
      en: "NetBox is set to a Redis that keeps its job queues",
      ru: "в настройках NetBox указан Redis, который хранит его очереди заданий",
    };
    if ("problem" in settings) return fail(expected, settings.problem);
    const { host: name, port } = settings.queue;
    const address = await addressOf(host, web.pid, name, signal);
    const hint = {
      en: `See REDIS_HOST in ${FOLDER}/env/netbox.env, and: docker compose ps redis`,
      ru: `Посмотрите REDIS_HOST в ${FOLDER}/env/netbox.env и docker compose ps redis`,
    };
    if (address === undefined) {
      const actual = {
        en: `nothing is called "${name}" there`,
        ru: `имя "${name}" там никому не принадлежит`,
      };
      return fail(expected, actual, hint);
    }
    const queue: Queue = {
      host,
      from: { kind: "pid", pid: web.pid },
      address,
      settings: settings.queue,
    };
    // The kernel's word: something of this lab listens at that address.
    const now = await collectHost(host, signal);
    const there = now.namespaces.find(({ links }) =>
      links.some((link) => link.addresses.some((each) => each.address === address)),
    );
    const listens = there?.sockets.some((each) => each.protocol === "tcp" && each.port === port);
    if (!listens) {
      const place = `${address}:${port} (${name})`;
      const actual = { en: `nothing listens on ${place}`, ru: `на ${place} никто не слушает` };
      return fail(expected, actual, hint);
    }
    try {
      await askQueue(queue, [["PING"]], signal);
    } catch (error) {
      if (!(error instanceof SandboxError) || error.code === "probe-timeout") throw error;
      return fail(expected, `${name} (${address}:${port}): ${error.message}`, hint);
    }
    const { database } = settings.queue;
    return pass<Found>(
      { queue, settings },
      {
        en: `${name}, ${address}:${port}, database ${database}`,
        ru: `${name}, ${address}:${port}, база ${database}`,
      },
    );
  },
});

/** A worker as a student finds it: by its container. */
function placeOf(worker: Worker, containers: readonly ContainerModel[]): Text {
  const container = containers.find(({ id }) => id === worker.process.container);
  const nowhere = { en: "no container", ru: "вне контейнера" };
  return words`${container?.name ?? nowhere} (pid ${worker.ownPid})`;
}

/** By container, with the number of workers where it has several. */
function told(workers: readonly Worker[], containers: readonly ContainerModel[]): Text {
  const outside = { en: "outside of containers", ru: "вне контейнеров" };
  const places = Map.groupBy(workers, ({ process }) => process.container);
  const names = [...places].map(([id, members]) => {
    const name = containers.find((container) => container.id === id)?.name ?? outside;
    return members.length === 1 ? name : words`${name} (${members.length})`;
  });
  const key = (name: Text) => inLanguage(name, "en");
  return list(names.toSorted((a, b) => (key(a) < key(b) ? -1 : 1)));
}

function refused({ others }: Survey): Text {
  if (others.length === 0) return "";
  // What a worker that was killed leaves behind stays there for minutes; those that have a process say more.
  const reasons = others
    .toSorted((a, b) => Number(b.process !== undefined) - Number(a.process !== undefined))
    .slice(0, TOLD)
    .map(({ registration, why }) => words`${registration.name.slice(0, 8)} (${why})`);
  const rest = others.length - reasons.length;
  if (rest > 0) reasons.push({ en: `${rest} entries more`, ru: `и ещё записей: ${rest}` });
  return { en: en`; not counted: ${list(reasons)}`, ru: ru`; не засчитаны: ${list(reasons)}` };
}

/** Which processes have hardly used a processor for a while. */
class Idleness {
  readonly #seen = new Map<number, { sinceMs: number; processorMs: number; idle: boolean }>();

  of({ pid, processorMs }: ProcessFacts, nowMs: number): boolean {
    const seen = this.#seen.get(pid) ?? { sinceMs: nowMs, processorMs, idle: false };
    const passedMs = nowMs - seen.sinceMs;
    if (passedMs >= IDLE_MS) {
      seen.idle = processorMs - seen.processorMs < passedMs * IDLE_SHARE;
      seen.sinceMs = nowMs;
      seen.processorMs = processorMs;
    }
    this.#seen.set(pid, seen);
    return seen.idle;
  }
}

/** Looks until nobody is on the way any more; `starting` is how many still were when the patience ended. */
async function settled(
  queue: Queue,
  progress: Progress,
  signal: AbortSignal,
): Promise<Survey & { readonly starting: number }> {
  const deadlineMs = performance.now() + WORKERS_PATIENCE_MS;
  const idleness = new Idleness();
  for (;;) {
    const survey = await surveyWorkers(queue, signal);
    const { workers } = survey;
    const nowMs = performance.now();
    const starting = survey.unregistered.filter((each) => !idleness.of(each, nowMs)).length;
    const enough = workers.length >= FEWEST && workers.length + starting <= MOST;
    const done = starting === 0 || enough || workers.length > MOST;
    if (done || nowMs > deadlineMs) return { ...survey, starting };
    progress({
      en: `${workers.length} workers serve the queues, ${starting} more are starting`,
      ru: `очереди обслуживают: ${workersOf(workers.length)}; ещё запускаются: ${starting}`,
    });
    await sleep(1000, undefined, { signal });
  }
}

export const fiveToTen = check({
  id: "five-to-ten-workers",
  title: {
    en: `${FEWEST} to ${MOST} RQ workers serve the queues ${QUEUES.join(", ")}`,
    ru: `Очереди ${QUEUES.join(", ")} обслуживают от ${FEWEST} до ${MOST} воркеров RQ`,
  },
  needs: { found: queueFound },
  timeoutMs: WORKERS_PATIENCE_MS + 60_000,
  async run({ lab, found, progress, signal }) {
    const survey = await settled(found.queue, progress, signal);
    const { workers, starting } = survey;
    const { containers } = await collectHost(lab.host(), signal);
    const queues = QUEUES.join(", ");
    const expected = {
      en: `${FEWEST} to ${MOST} workers, each a living process that serves ${queues} of NetBox's own Redis`,
      ru: `от ${FEWEST} до ${MOST} воркеров, каждый — живой процесс, который обслуживает ${queues} в Redis самого NetBox`,
    };
    const count = words`${workers.length}: ${told(workers, containers)}`;
    if (workers.length >= FEWEST && workers.length <= MOST) {
      return pass<Survey & Found>({ ...survey, ...found }, count);
    }
    const late: Text =
      starting > 0
        ? { en: `; ${starting} are still starting`, ru: `; ещё запускаются: ${starting}` }
        : "";
    const actual = words`${count}${late}${refused(survey)}`;
    if (workers.length > MOST) {
      return fail(expected, actual, {
        en: "Each worker takes memory and a connection to the database: scale down.",
        ru: "Каждому воркеру нужны память и соединение с базой данных: уменьшите их число.",
      });
    }
    const strays = survey.unregistered.filter(({ connections }) => connections.length === 0);
    const hint =
      survey.others.length > 0
        ? {
            en: "An entry in Redis is no worker yet: it must be a process that lives, runs, and waits at the queues high, default and low.",
            ru: "Запись в Redis ещё не воркер: нужен живой, работающий процесс, который ждёт у очередей high, default и low.",
          }
        : strays.length > 0 && starting === 0
          ? {
              en: "There are rqworker processes that are not connected to this Redis: see their REDIS_HOST, and docker compose logs netbox-worker",
              ru: "Есть процессы rqworker, которые не соединены с этим Redis: посмотрите их REDIS_HOST и docker compose logs netbox-worker",
            }
          : workers.length === 1
            ? {
                en: "Several replicas, several processes in one container, several services: each way is right. docker compose exec netbox /opt/netbox/netbox/manage.py rqstats shows what NetBox sees.",
                ru: "Несколько реплик, несколько процессов в одном контейнере, несколько сервисов: годится любой способ. Что видит NetBox, покажет docker compose exec netbox /opt/netbox/netbox/manage.py rqstats.",
              }
            : undefined;
    return withFiles(lab.host(), fail(expected, actual, hint), signal);
  },
});

/** Which workers run something at this moment, by the kernel. */
async function running(
  { queue, workers }: { queue: Queue; workers: readonly Worker[] },
  mark: string,
  signal: AbortSignal,
): Promise<readonly Worker[]> {
  const processes = await queue.host.hand().processes({ marks: mark }, { signal });
  const byPid = new Map(processes.map((process) => [process.pid, process]));
  const busy = processes.filter(
    ({ marks, state, frozen }) => marks.length > 0 && state !== "T" && !frozen,
  );
  return workers.filter(({ process }) => busy.some((each) => descends(each, process, byPid)));
}

interface EndedJob {
  readonly status: string;
  readonly started: number | null;
  readonly completed: number | null;
  readonly error: string;
}

/** What the probe has printed: see probe.py. */
function sayings(output: string): { enqueued?: number; jobs?: EndedJob[] } {
  const lines = output.split("\n").filter((line) => line.startsWith("PATCHBAY "));
  return Object.assign({}, ...lines.map((line) => JSON.parse(line.slice("PATCHBAY ".length))));
}

const lastLine = (output: string) => output.trim().split("\n").at(-1) ?? "";

/** Has NetBox enqueue jobs, and watches until enough of them run side by side, or nothing more happens. */
async function watchJobs(
  { queue, workers, settings, web }: Survey & Found & { readonly web: ContainerModel },
  progress: Progress,
  signal: AbortSignal,
): Promise<{ readonly most: readonly Worker[]; readonly jobs: readonly EndedJob[] }> {
  const mark = `patchbay-${randomBytes(6).toString("hex")}`;
  const end = `${mark}:end`;
  const wishes = { mark, end, jobs: workers.length + SPARE_JOBS, seconds: PROBE_SECONDS };
  const scripts = web.mounts.find(({ target }) => target === "/opt/netbox/netbox/scripts");
  const source = scripts?.name ?? scripts?.source;
  await using container = await TrustedContainer.start(queue.host, {
    command: [
      "/opt/netbox/venv/bin/python",
      "-c",
      readFileSync(new URL("probe.py", import.meta.url), "utf8"),
    ],
    environment: { ...settings.environment, PATCHBAY_PROBE: JSON.stringify(wishes) },
    network: `container:${web.id}`,
    binds: source === undefined ? [] : [`${source}:/opt/netbox/netbox/scripts:rw`],
  });
  let most: readonly Worker[] = [];
  const startMs = performance.now();
  let enqueuedMs: number | undefined;
  let lastGrowthMs = startMs;
  try {
    for (;;) {
      if (enqueuedMs === undefined) {
        const { ended, output } = await container.look();
        if (sayings(output).enqueued !== undefined) enqueuedMs = lastGrowthMs = performance.now();
        else if (ended || performance.now() - startMs > PROBE_BOOT_MS) {
          const late = { en: "it did not get ready in time", ru: "он не подготовился вовремя" };
          const why = ended ? lastLine(output) : late;
          throw new NoVerdict({
            en: en`NetBox's own code could not enqueue jobs with the settings of this stack: ${why}`,
            ru: ru`код самого NetBox с настройками этого проекта не смог поставить задания в очередь: ${why}`,
          });
        } else {
          progress({
            en: "NetBox gets ready to enqueue jobs",
            ru: "NetBox готовится ставить задания в очередь",
          });
        }
      } else {
        const now = await running({ queue, workers }, mark, signal);
        if (now.length > most.length) {
          most = now;
          lastGrowthMs = performance.now();
        }
        if (most.length >= FEWEST || performance.now() - lastGrowthMs > PICKUP_MS) break;
        progress({
          en: `${now.length} jobs run at the same time`,
          ru: `заданий выполняется одновременно: ${now.length}`,
        });
      }
      await sleep(POLL_MS, undefined, { signal });
    }
  } finally {
    // Whatever happened: the jobs end, and the probe takes them away before its container goes.
    await askQueue(queue, [["SET", end, "1", "EX", "120"]], AbortSignal.timeout(5000));
    await ended(container);
    await askQueue(queue, [["DEL", end]], AbortSignal.timeout(5000));
  }
  const { output } = await container.look();
  return { most, jobs: sayings(output).jobs ?? [] };
}

async function ended(container: TrustedContainer): Promise<void> {
  const deadlineMs = performance.now() + 40_000;
  while (!(await container.look()).ended && performance.now() < deadlineMs) await sleep(POLL_MS);
}

export const jobsSideBySide = check({
  id: "jobs-side-by-side",
  startsContainers: true,
  title: {
    en: `${FEWEST} jobs run at the same time`,
    ru: `Одновременно выполняются ${FEWEST} заданий`,
  },
  needs: { web: stackRuns, survey: fiveToTen },
  timeoutMs: PROBE_BOOT_MS + 3 * PICKUP_MS + 60_000,
  async run({ lab, web, survey, progress, signal }) {
    const expected = {
      en: `${FEWEST} jobs that NetBox enqueues run at the same time, each by another worker`,
      ru: `${FEWEST} заданий, которые ставит в очередь NetBox, выполняются одновременно, каждое своим воркером`,
    };
    if (survey.suspended) {
      return fail(
        expected,
        { en: "the workers are suspended", ru: "воркеры приостановлены" },
        {
          en: "Workers that were suspended take no jobs: manage.py rqresume",
          ru: "Приостановленные воркеры заданий не берут: manage.py rqresume",
        },
      );
    }
    const { most, jobs } = await watchJobs({ ...survey, web }, progress, signal);
    const after = await surveyWorkers(survey.queue, signal);
    if (after.workers.length > MOST) {
      return fail(
        expected,
        {
          en: `meanwhile there are ${after.workers.length} workers, and at most ${MOST} are asked for`,
          ru: `тем временем воркеров стало ${after.workers.length}, а нужно не больше ${MOST}`,
        },
        {
          en: "Check again when all workers have started.",
          ru: "Проверьте ещё раз, когда все воркеры запустятся.",
        },
      );
    }
    if (most.length >= FEWEST) {
      return pass(undefined, { en: `${most.length} at once`, ru: `одновременно ${most.length}` });
    }
    const { containers } = await collectHost(lab.host(), signal);
    const alive = new Set(after.workers.map(({ name }) => name));
    const gone = survey.workers.filter(({ name }) => !alive.has(name));
    const actual = { en: `${most.length} at the same time`, ru: `одновременно ${most.length}` };
    if (gone.length > 0) {
      const names = list(gone.map((worker) => placeOf(worker, containers)));
      return fail(
        expected,
        {
          en: en`${actual}: of ${survey.workers.length} workers ${gone.length} ended while the jobs ran: ${names}`,
          ru: ru`${actual}; из ${survey.workers.length} воркеров за это время завершились ${gone.length}: ${names}`,
        },
        {
          en: "A worker that ends takes its job with it. Check again when all workers are back.",
          ru: "Воркер, завершаясь, забирает с собой своё задание. Проверьте ещё раз, когда все воркеры вернутся.",
        },
      );
    }
    const own = new Set(most.map(({ name }) => name));
    const busy = after.workers.filter(({ name, job }) => !own.has(name) && job !== "");
    if (busy.length > 0 && most.length + busy.length >= FEWEST) {
      throw new NoVerdict({
        en: `${busy.length} workers run jobs of yours, so that ${FEWEST} more could not be watched. Wait until they have ended, and check again.`,
        ru: `Вашими заданиями заняты воркеры (${busy.length}), и проследить ещё за ${FEWEST} заданиями не удалось. Дождитесь, пока ваши закончатся, и проверьте снова.`,
      });
    }
    const idle = survey.workers.filter(({ name }) => !own.has(name));
    const errors = new Set(jobs.filter(({ error }) => error !== "").map(({ error }) => error));
    const ends = [...errors].join("; ");
    const why: Text =
      ends === ""
        ? ""
        : { en: `; jobs ended with: ${ends}`, ru: `; задания закончились так: ${ends}` };
    const names = list(idle.map((worker) => placeOf(worker, containers)));
    return fail(
      expected,
      {
        en: en`${actual}${why}; no job was seen in: ${names}`,
        ru: ru`${actual}${why}; ни одного задания не замечено в: ${names}`,
      },
      errors.size > 0
        ? {
            en: "A worker needs what NetBox has: the same environment and the same volumes.",
            ru: "Воркеру нужно то же, что есть у NetBox: то же окружение и те же тома.",
          }
        : undefined,
    );
  },
});

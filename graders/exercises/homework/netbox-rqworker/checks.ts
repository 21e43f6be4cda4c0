import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type LabHost, SandboxError } from "../../../../sandbox/index.ts";
import { check, type Failed, fail, pass } from "../../../core/exercise.ts";
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
/** Jobs beyond one for each worker: for a worker that comes back while the check runs. */
const SPARE_JOBS = 2;
const POLL_MS = 300;
/** A stack that has just been started is waited for. */
const START_PATIENCE_MS = 120_000;
/** Workers that have just been started: each loads all of NetBox, which takes seconds of a processor. */
const WORKERS_PATIENCE_MS = 180_000;
/** Who has used no processor for so long does not start any more, however busy the machine is. */
const IDLE_MS = 8000;
/** NetBox's own code in the grader's container, until its jobs are queued. */
const PROBE_BOOT_MS = 60_000;
/** A job that is queued is taken at once where a worker is free. */
const PICKUP_MS = 15_000;
const PROBE_SECONDS = 60;

const START = `cd ${FOLDER} && docker compose up -d`;

/** The sentence that a check says while it waits. */
type Progress = (text: string) => void;

async function withFiles(host: LabHost, failure: Failed, signal: AbortSignal): Promise<Failed> {
  const problems = await fileProblems(host, signal);
  if (problems.length === 0) return failure;
  const actual = `${failure.actual}; compose can't read the project: ${problems.join("; ")}`;
  return {
    ...failure,
    actual,
    hint: `Mend the file; ${FOLDER} has it. Then: docker compose up -d`,
  };
}

/** What is up with the services that NetBox needs, in words. */
function statesOf(host: HostModel): string {
  const services = ["netbox", "postgres", "redis", "redis-cache"];
  return services
    .map((service) => {
      const [first] = containersOf(host, service);
      if (first === undefined) return `${service}: no container`;
      const { state, health } = first;
      return `${service}: ${state === "running" ? (health ?? "runs") : state}`;
    })
    .join(", ");
}

export const stackRuns = check<ContainerModel>({
  id: "stack-runs",
  title: "NetBox runs and answers",
  timeoutMs: START_PATIENCE_MS + 30_000,
  async run({ lab, progress, signal }) {
    const host = lab.host();
    const expected = "service netbox runs, and its health check says healthy";
    const deadlineMs = performance.now() + START_PATIENCE_MS;
    for (;;) {
      const now = await collectHost(host, signal);
      const web = containersOf(now, "netbox").find(({ running, paused }) => running && !paused);
      const waits = containersOf(now, "netbox").some(
        ({ state }) => state === "created" || state === "restarting",
      );
      if (web !== undefined && web.health !== "starting" && web.health !== "unhealthy") {
        return pass(web, `${web.name}, ${web.health ?? "without a health check"}`);
      }
      const coming = web === undefined ? waits : web.health === "starting";
      if (!coming || performance.now() > deadlineMs) {
        const hint = coming
          ? `See what it waits for: cd ${FOLDER} && docker compose logs netbox`
          : `Start the stack: ${START}`;
        return withFiles(host, fail(expected, statesOf(now), hint), signal);
      }
      progress(`NetBox is still starting: ${statesOf(now)}`);
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
  title: "Its job queues lie in a Redis that answers",
  needs: { web: stackRuns },
  timeoutMs: 60_000,
  async run({ lab, web, signal }) {
    const host = lab.host();
    const settings = await readSettings(host, web, signal);
    const expected = "NetBox is set to a Redis that keeps its job queues";
    if ("problem" in settings) return fail(expected, settings.problem);
    const { host: name, port } = settings.queue;
    const address = await addressOf(host, web.pid, name, signal);
    const hint = `See REDIS_HOST in ${FOLDER}/env/netbox.env, and: docker compose ps redis`;
    if (address === undefined) return fail(expected, `nothing is called "${name}" there`, hint);
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
    if (!listens) return fail(expected, `nothing listens on ${address}:${port} (${name})`, hint);
    try {
      await askQueue(queue, [["PING"]], signal);
    } catch (error) {
      if (!(error instanceof SandboxError) || error.code === "probe-timeout") throw error;
      return fail(expected, `${name} (${address}:${port}): ${error.message}`, hint);
    }
    return pass<Found>(
      { queue, settings },
      `${name}, ${address}:${port}, database ${settings.queue.database}`,
    );
  },
});

/** A worker as a student finds it: by its container. */
function placeOf(worker: Worker, containers: readonly ContainerModel[]): string {
  const container = containers.find(({ id }) => id === worker.process.container);
  return `${container?.name ?? "no container"} (pid ${worker.ownPid})`;
}

/** By container, with the number of workers where it has several. */
function told(workers: readonly Worker[], containers: readonly ContainerModel[]): string {
  const places = Map.groupBy(workers, ({ process }) => process.container);
  const names = [...places].map(([id, members]) => {
    const name =
      containers.find((container) => container.id === id)?.name ?? "outside of containers";
    return members.length === 1 ? name : `${name} (${members.length})`;
  });
  return list(names.toSorted());
}

function refused({ others }: Survey): string {
  if (others.length === 0) return "";
  const reasons = others.map(
    ({ registration, why }) => `${registration.name.slice(0, 8)} (${why})`,
  );
  return `; not counted: ${list(reasons)}`;
}

/** Looks until nobody is on the way any more; `starting` is how many still were when the patience ended. */
async function settled(
  queue: Queue,
  progress: Progress,
  signal: AbortSignal,
): Promise<Survey & { readonly starting: number }> {
  const deadlineMs = performance.now() + WORKERS_PATIENCE_MS;
  const seen = new Map<number, { processorMs: number; atMs: number }>();
  for (;;) {
    const survey = await surveyWorkers(queue, signal);
    const { workers } = survey;
    const nowMs = performance.now();
    const starting = survey.unregistered.filter(({ pid, processorMs }) => {
      const before = seen.get(pid);
      if (before?.processorMs !== processorMs) seen.set(pid, { processorMs, atMs: nowMs });
      return nowMs - (seen.get(pid)?.atMs ?? nowMs) < IDLE_MS;
    }).length;
    const enough = workers.length >= FEWEST && workers.length + starting <= MOST;
    const done = starting === 0 || enough || workers.length > MOST;
    if (done || nowMs > deadlineMs) return { ...survey, starting };
    progress(`${workers.length} workers serve the queues, ${starting} more are starting`);
    await sleep(1000, undefined, { signal });
  }
}

export const fiveToTen = check({
  id: "five-to-ten-workers",
  title: `${FEWEST} to ${MOST} RQ workers serve the queues ${QUEUES.join(", ")}`,
  needs: { found: queueFound },
  timeoutMs: WORKERS_PATIENCE_MS + 60_000,
  async run({ lab, found, progress, signal }) {
    const survey = await settled(found.queue, progress, signal);
    const { workers, starting } = survey;
    const { containers } = await collectHost(lab.host(), signal);
    const expected = `${FEWEST} to ${MOST} workers, each a living process that serves ${QUEUES.join(", ")} of NetBox's own Redis`;
    const count = `${workers.length}: ${told(workers, containers)}`;
    if (workers.length >= FEWEST && workers.length <= MOST) {
      return pass<Survey & Found>({ ...survey, ...found }, count);
    }
    const late = starting > 0 ? `; ${starting} are still starting` : "";
    const actual = `${count}${late}${refused(survey)}`;
    if (workers.length > MOST) {
      return fail(
        expected,
        actual,
        "Each worker takes memory and a connection to the database: scale down.",
      );
    }
    const strays = survey.unregistered.filter(({ connections }) => connections.length === 0);
    const hint =
      survey.others.length > 0
        ? "An entry in Redis is no worker yet: it must be a process that lives, runs, and waits at the queues high, default and low."
        : strays.length > 0 && starting === 0
          ? "There are rqworker processes that are not connected to this Redis: see their REDIS_HOST, and docker compose logs netbox-worker"
          : workers.length === 1
            ? "Several replicas, several processes in one container, several services: each way is right. docker compose exec netbox /opt/netbox/netbox/manage.py rqstats shows what NetBox sees."
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
          const why = ended ? lastLine(output) : "it did not get ready in time";
          throw new Error(
            `NetBox's own code could not enqueue jobs with the settings of this stack: ${why}`,
          );
        } else progress("NetBox gets ready to enqueue jobs");
      } else {
        const now = await running({ queue, workers }, mark, signal);
        if (now.length > most.length) {
          most = now;
          lastGrowthMs = performance.now();
        }
        if (most.length >= FEWEST || performance.now() - lastGrowthMs > PICKUP_MS) break;
        progress(`${now.length} jobs run at the same time`);
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
  title: `${FEWEST} jobs run at the same time`,
  needs: { web: stackRuns, survey: fiveToTen },
  timeoutMs: PROBE_BOOT_MS + 3 * PICKUP_MS + 60_000,
  async run({ lab, web, survey, progress, signal }) {
    const expected = `${FEWEST} jobs that NetBox enqueues run at the same time, each by another worker`;
    if (survey.suspended) {
      const hint = "Workers that were suspended take no jobs: manage.py rqresume";
      return fail(expected, "the workers are suspended", hint);
    }
    const { most, jobs } = await watchJobs({ ...survey, web }, progress, signal);
    if (most.length >= FEWEST) return pass(undefined, `${most.length} at once`);
    const after = await surveyWorkers(survey.queue, signal);
    const { containers } = await collectHost(lab.host(), signal);
    const alive = new Set(after.workers.map(({ name }) => name));
    const gone = survey.workers.filter(({ name }) => !alive.has(name));
    const actual = `${most.length} at the same time`;
    if (gone.length > 0) {
      const names = list(gone.map((worker) => placeOf(worker, containers)));
      return fail(
        expected,
        `${actual}: of ${survey.workers.length} workers ${gone.length} ended while the jobs ran: ${names}`,
        "A worker that ends takes its job with it. Check again when all workers are back.",
      );
    }
    const own = new Set(most.map(({ name }) => name));
    const busy = after.workers.filter(({ name, job }) => !own.has(name) && job !== "");
    if (busy.length > 0 && most.length + busy.length >= FEWEST) {
      throw new Error(
        `${busy.length} workers run jobs of yours, so that ${FEWEST} more could not be watched. Wait until they have ended, and check again.`,
      );
    }
    const idle = survey.workers.filter(({ name }) => !own.has(name));
    const errors = new Set(jobs.filter(({ error }) => error !== "").map(({ error }) => error));
    const why = errors.size > 0 ? `; jobs ended with: ${[...errors].join("; ")}` : "";
    const names = list(idle.map((worker) => placeOf(worker, containers)));
    return fail(
      expected,
      `${actual}${why}; no job was seen in: ${names}`,
      errors.size > 0
        ? "A worker needs what NetBox has: the same environment and the same volumes."
        : undefined,
    );
  },
});

/** RQ workers: what they wrote into their Redis, and which living process each of them is. */

import {
  type LabHost,
  type NamespaceRef,
  type ProcessFacts,
  type RedisReply,
  SandboxError,
} from "../../../../sandbox/index.ts";
import type { Text } from "../../../core/text.ts";
import type { QueueSettings } from "./stack.ts";

/** NetBox's own queues; its `rqworker` serves them all unless it is told otherwise. */
export const QUEUES = ["high", "default", "low"];
/** RQ lets a worker's entry live for its `worker_ttl` of 420 s and a minute more. */
const HEARTBEAT_MS = 480_000;

/** Between the kernel's clock and what a worker wrote down; Redis tells its own in seconds. */
const CLOCK_MS = 2000;

/** A Redis and the way to it. */
export interface Queue {
  readonly host: LabHost;
  /** Where NetBox would connect from. */
  readonly from: NamespaceRef;
  readonly address: string;
  readonly settings: QueueSettings;
}

/** Asks the queue's Redis. Throws `SandboxError` where it does not answer, or refuses a command. */
export async function askQueue(
  { host, from, address, settings }: Queue,
  commands: readonly (readonly string[])[],
  signal: AbortSignal,
): Promise<readonly RedisReply[]> {
  const { username, password, database, port, tls } = settings;
  const credentials = username === "" ? [password] : [username, password];
  const first = [
    ...(password === "" ? [] : [["AUTH", ...credentials]]),
    ["SELECT", String(database)],
  ];
  const all = [...first, ...commands];
  const replies = await host.hand().redis({ from, address, port, tls, commands: all }, { signal });
  for (const [index, reply] of replies.entries()) {
    if (typeof reply !== "object" || reply === null || !("error" in reply)) continue;
    const what = `${all[index]?.[0]}: ${reply.error}`;
    throw new SandboxError("probe-failed", `The queue's Redis refuses ${what}`);
  }
  return replies.slice(first.length);
}

/** What a worker has written of itself. */
export interface Registration {
  readonly name: string;
  readonly ownPid: number;
  readonly hostName: string;
  /** Its end of its first connection: `172.18.0.5:43210`. */
  readonly connection: string;
  readonly queues: readonly string[];
  readonly heartbeatAtMs: number;
  /** When it began to work. */
  readonly birthAtMs: number;
  /** Id of the job that it runs; empty where it waits. */
  readonly job: string;
}

export interface Worker extends Registration {
  readonly process: ProcessFacts;
}

/** An entry in Redis that does not count. */
export interface RefusedEntry {
  readonly registration: Registration;
  /** Whose entry it is, where there is such a process. */
  readonly process: ProcessFacts | undefined;
  readonly why: Text;
}

/** Who serves the queues, who only seems to, and who may soon. */
export interface Survey {
  readonly workers: readonly Worker[];
  /** Entries in Redis that do not count, each with the reason. */
  readonly others: readonly RefusedEntry[];
  /** Processes that look like workers and are not registered: they may be about to, or never will. */
  readonly unregistered: readonly ProcessFacts[];
  /** Every process of the host at that moment. */
  readonly processes: readonly ProcessFacts[];
  /** `rq suspend` has told all workers to take no jobs. */
  readonly suspended: boolean;
}

const strings = (reply: RedisReply | undefined): string[] =>
  Array.isArray(reply) ? reply.filter((each) => typeof each === "string") : [];

function registrationOf(key: string, reply: RedisReply | undefined): Registration | undefined {
  const flat = strings(reply);
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at] ?? "", flat[at + 1] ?? "");
  if (fields.size === 0 || fields.has("death")) return undefined;
  return {
    name: key.replace(/^rq:worker:/, ""),
    ownPid: Number(fields.get("pid") ?? Number.NaN),
    hostName: fields.get("hostname") ?? "",
    connection: fields.get("ip_address") ?? "",
    queues: (fields.get("queues") ?? "").split(",").filter(Boolean),
    heartbeatAtMs: Date.parse(fields.get("last_heartbeat") ?? ""),
    birthAtMs: Date.parse(fields.get("birth") ?? ""),
    job: fields.get("current_job") ?? "",
  };
}

const ipOf = (end: string) => end.split(":")[0];

/** Why a process that is there does no work; `undefined` where nothing keeps it from it. */
function hindrance({ state, frozen }: ProcessFacts): Text | undefined {
  if (frozen) return { en: "its container is paused", ru: "его контейнер приостановлен" };
  if (state === "T" || state === "t") {
    return { en: "its process is stopped (SIGSTOP)", ru: "его процесс остановлен (SIGSTOP)" };
  }
  if (state === "Z" || state === "X") {
    return { en: "its process has ended", ru: "его процесс завершился" };
  }
  return undefined;
}

/** Whether a command line is that of a worker: `manage.py rqworker`, `manage.py rqworker-pool …`. */
export const looksLikeWorker = ({ command }: ProcessFacts): boolean =>
  command.some((word) => word.endsWith("manage.py")) &&
  command.some((word) => word === "rqworker" || word === "rqworker-pool");

/** Why an entry does not count for a worker; `undefined` where it does. `process` is the one that it is of. */
function refusal(
  { ownPid, hostName, queues, heartbeatAtMs }: Registration,
  process: ProcessFacts | undefined,
  nowMs: number,
): Text | undefined {
  if (process === undefined) {
    return {
      en: `no process ${ownPid} of ${hostName || "its host"} is connected to this Redis`,
      ru: `процесс ${ownPid} с ${hostName || "его хоста"} не соединён с этим Redis`,
    };
  }
  const hindered = hindrance(process);
  if (hindered !== undefined) return hindered;
  const missing = QUEUES.filter((queue) => !queues.includes(queue)).join(", ");
  if (missing !== "") {
    const served = queues.join(", ");
    return {
      en: `it serves ${served || "no queue"}, and not ${missing}`,
      ru: `не обслуживает ${missing}; его очереди: ${served || "нет"}`,
    };
  }
  if (nowMs - heartbeatAtMs <= HEARTBEAT_MS) return undefined;
  return { en: "its last heartbeat is too old", ru: "он слишком давно не подавал признаков жизни" };
}

/**
 * Matches what is written in Redis with the processes that are connected to it, each with one at most: a process of
 * that number, as it counts itself, whose end of a connection is the one that was written down, or has its address.
 */
export function matchWorkers(
  registrations: readonly Registration[],
  processes: readonly ProcessFacts[],
  nowMs: number,
): Pick<Survey, "workers" | "others"> {
  const free = new Set(processes.filter(({ connections }) => connections.length > 0));
  const workers: Worker[] = [];
  const others: RefusedEntry[] = [];
  /** Addresses and numbers are given again: who started after the entry was written is somebody else. */
  const may = ({ ownPid, birthAtMs }: Registration, process: ProcessFacts) =>
    process.ownPid === ownPid && nowMs - process.ageMs <= birthAtMs + CLOCK_MS;
  const byEnd = (registration: Registration) => (process: ProcessFacts) =>
    may(registration, process) && process.connections.includes(registration.connection);
  const byAddress = (registration: Registration) => (process: ProcessFacts) =>
    may(registration, process) &&
    process.connections.some((end) => ipOf(end) === ipOf(registration.connection));
  const found = new Map<Registration, ProcessFacts>();
  // Who has the very connection that was written down goes first: nobody else may take its process.
  for (const by of [byEnd, byAddress]) {
    for (const registration of registrations) {
      if (found.has(registration)) continue;
      const process = [...free].find(by(registration));
      if (process === undefined) continue;
      found.set(registration, process);
      free.delete(process);
    }
  }
  for (const registration of registrations) {
    const process = found.get(registration);
    const why = refusal(registration, process, nowMs);
    if (process !== undefined && why === undefined) workers.push({ ...registration, process });
    else others.push({ registration, process, why: why ?? "" });
  }
  return { workers, others };
}

/** Processes that look like workers, and that no entry is of: they start, or wait for something else. */
export function unregisteredOf(
  processes: readonly ProcessFacts[],
  { workers, others }: Pick<Survey, "workers" | "others">,
): readonly ProcessFacts[] {
  const known = new Set(workers.map(({ process }) => process.pid));
  // By process, not by the number in the entry: a container made anew counts its processes from the start, as the one
  // did whose entries are still there.
  const refused = new Set(others.map(({ process }) => process?.pid));
  // Whoever has started a worker may bear its command line too: the container's init.
  const parents = new Set(processes.filter(looksLikeWorker).map(({ parent }) => parent));
  return processes.filter(
    (process) =>
      looksLikeWorker(process) &&
      !parents.has(process.pid) &&
      !known.has(process.pid) &&
      // Children of a worker: its scheduler, and whoever runs a job.
      !known.has(process.parent) &&
      !refused.has(process.pid) &&
      !refused.has(process.parent) &&
      hindrance(process) === undefined,
  );
}

/** One look at the queue's Redis and at the kernel. */
export async function surveyWorkers(queue: Queue, signal: AbortSignal): Promise<Survey> {
  const remote = `${queue.address}:${queue.settings.port}`;
  const [keys, suspended, time] = await askQueue(
    queue,
    [["SMEMBERS", "rq:workers"], ["EXISTS", "rq:suspended"], ["TIME"]],
    signal,
  );
  const names = strings(keys).toSorted();
  const [hashes, processes] = await Promise.all([
    names.length === 0
      ? []
      : askQueue(
          queue,
          names.map((name) => ["HGETALL", name]),
          signal,
        ),
    queue.host.hand().processes({ remote }, { signal }),
  ]);
  const registrations = names
    .map((name, index) => registrationOf(name, hashes[index]))
    .filter((each) => each !== undefined);
  // Heartbeats are by the workers' clock, which is this Redis's too: one machine.
  const nowMs = Number(strings(time)[0]) * 1000;
  const matched = matchWorkers(registrations, processes, nowMs);
  const unregistered = unregisteredOf(processes, matched);
  return { ...matched, unregistered, processes, suspended: suspended === 1 };
}

/** Whether a process is another one or descends from it. */
export function descends(
  process: ProcessFacts,
  ancestor: ProcessFacts,
  byPid: ReadonlyMap<number, ProcessFacts>,
): boolean {
  for (
    let at: ProcessFacts | undefined = process, depth = 0;
    at !== undefined && depth < 16;
    depth += 1
  ) {
    if (at.pid === ancestor.pid) return true;
    at = byPid.get(at.parent);
  }
  return false;
}

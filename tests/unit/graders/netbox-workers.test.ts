import { expect, test } from "vitest";
import { inLanguage } from "../../../graders/core/text.ts";
import {
  matchWorkers,
  QUEUES,
  type Registration,
  unregisteredOf,
} from "../../../graders/exercises/homework/netbox-rqworker/workers.ts";
import type { ProcessFacts } from "../../../sandbox/index.ts";

const NOW_MS = Date.parse("2026-01-01T12:00:00Z");

const process = (pid: number, more: Partial<ProcessFacts> = {}): ProcessFacts => ({
  pid,
  parent: 1,
  ownPid: 7,
  state: "S",
  frozen: false,
  command: ["python", "manage.py", "rqworker"],
  processorMs: 7000,
  ageMs: 60_000,
  namespace: pid,
  container: null,
  connections: [`172.18.0.${pid}:40000`, `172.18.0.${pid}:40001`],
  marks: [],
  ...more,
});

const entry = (name: string, address: number, more: Partial<Registration> = {}): Registration => ({
  name,
  ownPid: 7,
  hostName: `host-${address}`,
  connection: `172.18.0.${address}:40000`,
  queues: QUEUES,
  heartbeatAtMs: NOW_MS - 60_000,
  birthAtMs: NOW_MS - 55_000,
  job: "",
  ...more,
});

const match = (entries: readonly Registration[], processes: readonly ProcessFacts[]) => {
  const { workers, others } = matchWorkers(entries, processes, NOW_MS);
  return {
    workers: workers.map(({ name, process: { pid } }) => `${name} is ${pid}`),
    others: others.map(({ registration, why }) => `${registration.name}: ${inLanguage(why, "en")}`),
  };
};

test("a worker is an entry in Redis and the process that it is of", () => {
  expect(match([entry("a", 5), entry("b", 6)], [process(5), process(6)])).toEqual({
    workers: ["a is 5", "b is 6"],
    others: [],
  });
});

test("an entry without its process does not count, nor does a second entry of one process", () => {
  const entries = [
    entry("a", 5),
    entry("copy", 5),
    entry("elsewhere", 9),
    entry("other number", 5, { ownPid: 8 }),
  ];
  expect(match(entries, [process(5)])).toEqual({
    workers: ["a is 5"],
    others: [
      "copy: no process 7 of host-5 is connected to this Redis",
      "elsewhere: no process 7 of host-9 is connected to this Redis",
      "other number: no process 8 of host-5 is connected to this Redis",
    ],
  });
});

test("a process that is not connected to the Redis is none of its workers, whatever it is called", () => {
  expect(match([entry("a", 5)], [process(5, { connections: [] })]).workers).toEqual([]);
});

test("a connection that was made again has another port", () => {
  const again = process(5, { connections: ["172.18.0.5:51111"] });
  expect(match([entry("a", 5)], [again]).workers).toEqual(["a is 5"]);
});

test("a process that is younger than an entry is not the one that wrote it, though its address and number are the same", () => {
  const anew = process(5, { ageMs: 20_000 });
  expect(match([entry("ended", 5), entry("a", 5, { birthAtMs: NOW_MS - 18_000 })], [anew])).toEqual(
    { workers: ["a is 5"], others: ["ended: no process 7 of host-5 is connected to this Redis"] },
  );
});

test("whose very connection was written down goes before who only shares its address", () => {
  const first = process(5, { connections: ["172.18.0.5:40000"] });
  const second = process(50, { connections: ["172.18.0.5:41000"] });
  const entries = [entry("b", 5, { connection: "172.18.0.5:49999" }), entry("a", 5)];
  expect(match(entries, [first, second]).workers).toEqual(["b is 50", "a is 5"]);
});

test.each([
  ["stopped", process(5, { state: "T" }), {}, "its process is stopped (SIGSTOP)"],
  ["paused", process(5, { frozen: true }), {}, "its container is paused"],
  ["ended", process(5, { state: "Z" }), {}, "its process has ended"],
  ["of one queue", process(5), { queues: ["low"] }, "it serves low, and not high, default"],
  ["silent", process(5), { heartbeatAtMs: NOW_MS - 500_000 }, "its last heartbeat is too old"],
] as const)("a worker that is %s does not count, and it is said why", (_, found, more, why) => {
  expect(match([entry("a", 5, more)], [found])).toEqual({ workers: [], others: [`a: ${why}`] });
});

test("a worker that starts is seen, though one that has ended left an entry with the same number", () => {
  const left = matchWorkers([entry("ended", 9)], [], NOW_MS);
  const starting = process(5, { connections: [] });
  expect(unregisteredOf([starting], left)).toEqual([starting]);
});

test("neither a worker's children nor whoever has an entry that does not count is about to start", () => {
  const worker = process(5);
  const scheduler = process(50, { parent: 5, ownPid: 50 });
  const ofOneQueue = process(6, { parent: 2 });
  const all = [worker, scheduler, ofOneQueue];
  const matched = matchWorkers([entry("a", 5), entry("b", 6, { queues: ["low"] })], all, NOW_MS);
  expect(unregisteredOf(all, matched)).toEqual([]);
});

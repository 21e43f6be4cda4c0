/**
 * What the NetBox lab takes: its image, a start cold and warm, memory by the number of workers, the check of the
 * homework, and five scripts of ten seconds with one worker and with five. Table on stderr, JSON on stdout.
 *
 *   node bench/netbox.ts [--runs 3]
 */
import { parseArgs } from "node:util";
import { exercises, gradeExercise } from "../graders/index.ts";
import type { Lab } from "../sandbox/index.ts";
import { openSandbox } from "../sandbox/open.ts";

const { values } = parseArgs({ options: { runs: { type: "string", default: "3" } } });
const runs = Number(values.runs);

const rows: { readonly name: string; readonly value: number }[] = [];
const say = (name: string, value: number) => {
  const rounded = Math.round(value * 10) / 10;
  rows.push({ name, value: rounded });
  process.stderr.write(`${name.padEnd(66)} ${rounded}\n`);
};
const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
const seconds = async (work: () => Promise<unknown>) => {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
};

/** Runs a script on the lab host in the project's folder; resolves with what it printed. */
async function script(lab: Lab, input: string): Promise<string> {
  const { exitCode, stdout, stderr } = await lab
    .host()
    .capture(["bash", "-e"], { input: `cd /root/netbox-docker\n${input}` });
  if (exitCode !== 0) throw new Error(`${input} ended with ${exitCode}: ${stderr.slice(-1000)}`);
  return stdout.trim();
}

/** Brings so many workers up, and waits until each of them has registered. */
const scale = (lab: Lab, count: number) =>
  script(
    lab,
    `docker compose up --detach --wait --scale netbox-worker=${count} >/dev/null 2>&1
redis() { docker compose exec -T redis sh -c 'valkey-cli --no-auth-warning --pass "$REDIS_PASSWORD" SCARD rq:workers' </dev/null; }
until [ "$(redis)" = ${count} ]; do sleep 0.2; done`,
  );

/** Memory of all containers of the stack, MiB, as their control groups count it without the page cache. */
async function memoryOf(lab: Lab): Promise<number> {
  const lines = await script(lab, "docker stats --no-stream --format '{{.MemUsage}}'");
  return lines
    .split("\n")
    .map((line) => /^([\d.]+)(KiB|MiB|GiB)/.exec(line))
    .reduce((sum, found) => {
      const unit = { KiB: 1 / 1024, MiB: 1, GiB: 1024 }[found?.[2] ?? ""] ?? 0;
      return sum + Number(found?.[1] ?? 0) * unit;
    }, 0);
}

const API = `
TOKEN=nbt_$(sed -n 's/^SUPERUSER_API_KEY=//p' env/netbox.env).$(sed -n 's/^SUPERUSER_API_TOKEN=//p' env/netbox.env)
api() { curl -sf -H "Authorization: Bearer $TOKEN" "$@"; }`;

/** Five scripts at once: from the first one's creation to the last one's end, by NetBox's own list of jobs. */
async function fiveScripts(lab: Lab): Promise<number> {
  const found = await script(
    lab,
    `${API}
for i in 1 2 3 4 5; do
  api --json '{"commit": false, "data": {}}' http://localhost:8000/api/extras/scripts/bench.Ten/ >/dev/null
done
while :; do
  list=$(api 'http://localhost:8000/api/core/jobs/?object_type=extras.script&limit=5')
  [ "$(jq '[.results[] | select(.completed != null)] | length' <<<"$list")" -lt 5 ] || break
  sleep 0.5
done
jq -r '.results[] | [.created, .completed] | @tsv' <<<"$list"`,
  );
  const times = found.split("\n").map((line) => line.split("\t").map((each) => Date.parse(each)));
  const created = Math.min(...times.map(([from = 0]) => from));
  return (Math.max(...times.map(([, to = 0]) => to)) - created) / 1000;
}

await using engine = await openSandbox({ engine: "managed" });
await engine.prepare();
await engine.keepWarm("netbox", 0);
const cold: number[] = [];
const warm: number[] = [];
for (let run = 0; run < runs; run += 1) {
  cold.push(await seconds(() => engine.up({ topology: "netbox", name: "bench-cold" })));
  await engine.down("bench-cold");
  await engine.keepWarm("netbox", 1);
  warm.push(await seconds(() => engine.up({ topology: "netbox", name: "bench-warm" })));
  await engine.keepWarm("netbox", 0);
  await engine.down("bench-warm");
}
say("lab up netbox to all healthy, cold, s: median", median(cold));
say("lab up netbox to all healthy, from a warm one, s: median", median(warm));

const lab = await engine.up({ topology: "netbox", name: "bench-netbox" });
try {
  for (const image of ["netboxcommunity/netbox", "postgres", "valkey/valkey"]) {
    const size = await script(lab, `docker image inspect --format '{{.Size}}' ${image}`);
    say(`image ${image}, MB`, Number(size) / 1e6);
  }
  const upload = `${API}
cat > /tmp/bench.py <<'PY'
from time import sleep

from extras.scripts import Script


class Ten(Script):
    def run(self, data, commit):
        sleep(10)
PY
api -F file=@/tmp/bench.py http://localhost:8000/api/extras/scripts/upload/ >/dev/null`;
  await script(lab, upload);
  for (const count of [1, 5, 10]) {
    say(`${count} workers: until all have registered, s`, await seconds(() => scale(lab, count)));
    say(`${count} workers: memory of the stack, MiB`, await memoryOf(lab));
    if (count === 10) continue;
    say(`${count} workers: five scripts of 10 s, s`, await fiveScripts(lab));
  }
  await scale(lab, 5);
  const exercise = exercises.find(({ id }) => id === "homework/netbox-rqworker");
  if (exercise === undefined) throw new Error("There is no exercise.");
  const checks: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const { status, durationMs } = await gradeExercise(exercise, lab);
    if (status !== "passed") throw new Error(`The check said ${status}.`);
    checks.push(durationMs / 1000);
  }
  say("check with five workers, s: median", median(checks));
  await scale(lab, 1);
  say("check with one worker, s", await seconds(() => gradeExercise(exercise, lab)));
} finally {
  await engine.down("bench-netbox");
}
process.stdout.write(`${JSON.stringify(rows)}\n`);

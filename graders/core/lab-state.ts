/** All of a lab that a grading could change, as lines of text, so that two of them can be compared. */
import { type Lab, type LabHost, SandboxError } from "../../sandbox/index.ts";
import { stillFacts } from "./fingerprint.ts";

/** What facts say nothing of. Settings of single interfaces come and go with them. */
const LOOK = `
find /root /run/netns -xdev \\( -type f -o -type l \\) -printf 'file %p %m %s %l\\n' 2>/dev/null | sort
find /root -xdev -type f -size -1M -exec cksum {} + 2>/dev/null | sort
sysctl -a 2>/dev/null | grep '^net\\.' | grep -Ev '\\.(veth|vx|mv|iv)|conntrack_count|tcp_fastopen_key|stable_secret|\\.route\\.flush' | sort
`;
/** Processes of containers that run or wait for a disk at this moment: a service that is still starting does. */
const BUSY = `
own=$(readlink /proc/self/ns/pid | tr -dc 0-9)
ps -e -o pidns= -o stat= | grep -Ev "^ *($own|-) " | grep -c ' [RD]'
`;
const LOOK_TIMEOUT_MS = 20_000;
const SETTLE_MS = 250;
const SETTLES = 12;

/** Numbers and names that a container gets anew at each start: its namespace, its process, its cable. */
const cableOf = (text: string): string =>
  text
    .replace(/\bveth[0-9a-f]{7}\b/g, "veth…")
    .replace(/\b402653\d{4}\b/g, "inode")
    .replace(/("(?:index|pid|port)": )\d+/g, "$1…")
    .replace(/("mac": )"[0-9a-f:]{17}"/g, "$1…")
    .replace(/\/run\/docker\/netns\/[0-9a-f]+/g, "netns…");

/** Facts have all else that an engine keeps. One that does not answer has nothing to tell. */
async function volumesOf(host: LabHost): Promise<readonly string[]> {
  try {
    const { body } = await host.innerEngine().request({ path: "/volumes" });
    const { Volumes } = body as { readonly Volumes?: readonly { readonly Name: string }[] };
    return (Volumes ?? []).map(({ Name }) => `volume ${Name}`).sort();
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    return [];
  }
}

async function isBusy(lab: Lab): Promise<boolean> {
  const signal = AbortSignal.timeout(LOOK_TIMEOUT_MS);
  const counts = await Promise.all(
    lab.hosts.map(({ name }) => lab.host(name).capture(["sh", "-c", BUSY], { signal })),
  );
  return counts.some(({ stdout }) => stdout.trim() !== "0");
}

async function look(lab: Lab, restarts: boolean): Promise<readonly string[]> {
  const signal = AbortSignal.timeout(LOOK_TIMEOUT_MS);
  const told = await Promise.all(
    lab.hosts.map(async ({ name }) => {
      const host = lab.host(name);
      const [{ stdout }, volumes] = await Promise.all([
        host.capture(["sh", "-c", LOOK], { signal }),
        volumesOf(host),
      ]);
      return [...stdout.split("\n"), ...volumes].map((line) => `${name} ${line}`);
    }),
  );
  const facts = JSON.stringify(stillFacts(await lab.facts({ signal })), null, 1)
    .split("\n")
    // The app of a health check is broken and mended again meanwhile, or checked for the first time.
    .filter((line) => !/"health": /.test(line));
  const lines = [...facts, ...told.flat()];
  return restarts ? lines.map(cableOf).sort() : lines;
}

/**
 * The state of a lab once nothing moves in it by itself. `restarts`: containers may have been restarted by the grading,
 * so what each start gives them anew is left out.
 */
export async function settledState(
  lab: Lab,
  { restarts }: { readonly restarts: boolean },
): Promise<readonly string[]> {
  let last = await look(lab, restarts);
  for (let count = 0; count < SETTLES; count += 1) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    // A server that is about to listen changes nothing until it does. Asked first: what ends meanwhile is looked at.
    const busy = await isBusy(lab);
    const now = await look(lab, restarts);
    if (!busy && now.join("\n") === last.join("\n")) return now;
    last = now;
  }
  return last;
}

/** The first lines in which a lab is another one than before, once it has settled; none where it is the same. */
export async function stateChanges(
  lab: Lab,
  before: readonly string[],
  options: { readonly restarts: boolean },
): Promise<readonly string[]> {
  const now = await look(lab, options.restarts);
  if (now.join("\n") === before.join("\n")) return [];
  const after = await settledState(lab, options);
  const [had, has] = [new Set(before), new Set(after)];
  const gone = before.filter((line) => !has.has(line)).map((line) => `- ${line.trim()}`);
  const come = after.filter((line) => !had.has(line)).map((line) => `+ ${line.trim()}`);
  return [...gone, ...come].slice(0, 12);
}

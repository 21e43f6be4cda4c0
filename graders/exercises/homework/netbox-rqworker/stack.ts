/** The NetBox under test: which container it is, and where it is set to keep its queues and its database. */
import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { type LabHost, SandboxError, topologies } from "../../../../sandbox/index.ts";
import type { ContainerModel } from "../../../facts/model.ts";
import type { Problem } from "./project.ts";
import { runTrusted } from "./trusted-container.ts";

const CONFIGURATION = "/etc/netbox/config";

/** How to reach the Redis in which NetBox keeps its queues, as NetBox itself is set. */
const queueSettings = z.object({
  host: z.string().min(1),
  port: z.coerce.number().int().min(1).max(65_535),
  username: z.string(),
  password: z.string(),
  database: z.coerce.number().int().min(0),
  tls: z.boolean(),
});
export type QueueSettings = z.output<typeof queueSettings>;

/** Settings of the running NetBox. */
export interface Settings {
  readonly queue: QueueSettings;
  /** What its container was started with, and what its configuration makes of it. */
  readonly environment: Readonly<Record<string, string>>;
}

const told = z.object({
  queue: queueSettings,
  database: z.record(z.string(), z.string()),
});

/** Prints what the student's files set, in a container that has no network. */
const ASK = `
import json, os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netbox.settings")
sys.path.insert(0, os.getcwd())
from django.conf import settings
database = settings.DATABASES["default"]
told = {
    "queue": {
        "host": settings.TASKS_REDIS_HOST, "port": settings.TASKS_REDIS_PORT, "username": settings.TASKS_REDIS_USERNAME,
        "password": settings.TASKS_REDIS_PASSWORD, "database": settings.TASKS_REDIS_DATABASE, "tls": settings.TASKS_REDIS_SSL,
    },
    "database": {f"DB_{key}": str(database.get(key, "")) for key in ("HOST", "PORT", "NAME", "USER", "PASSWORD")},
}
print("\\nPATCHBAY " + json.dumps(told), flush=True)
`;

/** Whether the files that NetBox reads its settings from are those that the lab began with. */
async function unchanged(host: LabHost, pid: number, signal: AbortSignal): Promise<boolean> {
  const listed = await host.hand().listFolder(CONFIGURATION, { pid, signal });
  if ("problem" in listed) return false;
  const files = listed.names.filter((name) => name.endsWith(".py"));
  const same = await Promise.all(
    files.map(async (name) => {
      const read = await host.hand().readFile(`${CONFIGURATION}/${name}`, { pid, signal });
      return "text" in read && read.text === originalOf(name);
    }),
  );
  return same.every(Boolean);
}

/** A file of the configuration as every lab begins with it; undefined where there is none of that name. */
function originalOf(name: string): string | undefined {
  const folder = topologies["netbox"]?.files.find(({ target }) =>
    target.endsWith("/configuration"),
  );
  const file = folder && new URL(name, folder.folder);
  return file && existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/**
 * What the running NetBox goes by. Its environment is the kernel's word. Files that the student has changed are run as
 * NetBox runs them, where they can reach nothing; what they set is measured like everything else.
 */
export async function readSettings(
  host: LabHost,
  web: ContainerModel,
  signal: AbortSignal,
): Promise<Settings | Problem> {
  const environment = await host.hand().environment(web.pid, { signal });
  const get = (name: string, fallback: string) => environment[name] || fallback;
  if (await unchanged(host, web.pid, signal)) {
    const queue = queueSettings.safeParse({
      host: get("REDIS_HOST", "localhost"),
      port: get("REDIS_PORT", "6379"),
      username: get("REDIS_USERNAME", ""),
      password: get("REDIS_PASSWORD", ""),
      database: get("REDIS_DATABASE", "0"),
      tls: get("REDIS_SSL", "false").toLowerCase() === "true",
    });
    if (queue.success) return { queue: queue.data, environment };
    return { problem: `env/netbox.env: ${z.prettifyError(queue.error)}` };
  }
  const configuration = web.mounts.find(({ target }) => target === CONFIGURATION);
  const { output } = await runTrusted(host, {
    command: ["/opt/netbox/venv/bin/python", "-c", ASK],
    environment,
    network: "none",
    binds: configuration ? [`${configuration.source}:${CONFIGURATION}:ro`] : [],
    timeoutMs: 30_000,
    signal,
  });
  const line = output.split("\n").findLast((each) => each.startsWith("PATCHBAY "));
  if (line === undefined) {
    const end = output.trim().split("\n").slice(-3).join("; ");
    return {
      problem: {
        en: `NetBox's configuration does not load: ${end}`,
        ru: `конфигурация NetBox не загружается: ${end}`,
      },
    };
  }
  const parsed = told.safeParse(JSON.parse(line.slice("PATCHBAY ".length)));
  if (!parsed.success) {
    const what = z.prettifyError(parsed.error);
    return {
      problem: {
        en: `NetBox's configuration sets something odd: ${what}`,
        ru: `в конфигурации NetBox задано что-то странное: ${what}`,
      },
    };
  }
  const { queue, database } = parsed.data;
  const redis = {
    REDIS_HOST: queue.host,
    REDIS_PORT: String(queue.port),
    REDIS_USERNAME: queue.username,
    REDIS_PASSWORD: queue.password,
    REDIS_DATABASE: String(queue.database),
    REDIS_SSL: String(queue.tls),
  };
  return { queue, environment: { ...environment, ...database, ...redis } };
}

/** The address that a process of the lab finds under a name. */
export async function addressOf(
  host: LabHost,
  pid: number,
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return name;
  const hosts = await host.hand().readFile("/etc/hosts", { pid, signal });
  for (const line of "text" in hosts ? hosts.text.split("\n") : []) {
    const [address = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (names.includes(name) && /^\d+\.\d+\.\d+\.\d+$/.test(address)) return address;
  }
  // The resolver that Docker puts into each container of a user-defined network.
  const answer = await host
    .hand()
    .dns({ from: { kind: "pid", pid }, server: "127.0.0.11", name, waitMs: 3000 }, { signal })
    .catch((error) => {
      if (error instanceof SandboxError && error.code === "probe-failed") return undefined;
      throw error;
    });
  return answer?.addresses[0];
}

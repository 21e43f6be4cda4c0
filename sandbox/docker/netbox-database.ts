import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildContainer } from "./build-container.ts";
import { dockerCommand } from "./command.ts";
import type { Recipe } from "./image-catalogue.ts";

/** Of the labs: an image may bring other settings, and plugins with tables of their own. */
const configuration = fileURLToPath(new URL("../images/netbox/configuration/", import.meta.url));

/** Other databases than the lab's NetBox's begin empty. */
const fill = `#!/bin/sh
if [ "\${POSTGRES_DB:-}" = netbox ]; then
  psql --quiet --username "$POSTGRES_USER" --dbname netbox --set ON_ERROR_STOP=1 --single-transaction \\
    --output /dev/null --file /usr/local/share/netbox.sql
fi
`;

const dockerfile = `ARG FROM
FROM $FROM
COPY netbox.sql /usr/local/share/netbox.sql
COPY fill.sh /docker-entrypoint-initdb.d/netbox.sh
`;

/** What the entry point of NetBox's image goes by; its network is that of the other two, and leads nowhere. */
const environment = {
  DB_HOST: "127.0.0.1",
  DB_NAME: "netbox",
  DB_USER: "netbox",
  REDIS_HOST: "127.0.0.1",
  REDIS_CACHE_HOST: "127.0.0.1",
  SECRET_KEY: "only-for-the-build-of-the-image-0123456789abcdefghijkl",
  SKIP_SUPERUSER: "true",
  CENSUS_REPORTING_ENABLED: "false",
  MAX_DB_WAIT_TIME: "120",
};

const cluster = {
  POSTGRES_DB: "netbox",
  POSTGRES_USER: "netbox",
  POSTGRES_HOST_AUTH_METHOD: "trust",
};

const asOptions = (variables: Readonly<Record<string, string>>) =>
  Object.entries(variables).flatMap(([name, value]) => ["--env", `${name}=${value}`]);

export interface NetboxDatabase {
  /** Of the image of PostgreSQL that has it; names what it is made of. */
  readonly tag: string;
  readonly netbox: Recipe;
  readonly postgres: Recipe;
  readonly valkey: Recipe;
}

/**
 * The database that a registry's NetBox among these images begins with. Nothing is prepared in such an image: without
 * this, its migrations would run for minutes in each lab. The recipe's NetBox has it in itself: `undefined`.
 */
export function netboxDatabase(recipes: readonly Recipe[]): NetboxDatabase | undefined {
  const named = (wanted: string) => recipes.find(({ name }) => name === wanted);
  const [netbox, postgres, valkey] = [named("netbox"), named("postgres"), named("valkey")];
  if (!netbox?.reference || !postgres || !valkey) return undefined;
  const content = [netbox.tag, postgres.tag, dockerfile, fill].join("\0");
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 12);
  return { tag: `patchbay/image-postgres-netbox:${hash}`, netbox, postgres, valkey };
}

/**
 * Runs the migrations of a NetBox, and tags an image of PostgreSQL that fills a new database `netbox` with what they
 * made.
 *
 * @param address of an engine that has the three images, as `DOCKER_HOST` takes it
 * @throws SandboxError `lab-start-failed` with the end of what NetBox said, where its migrations fail
 */
export async function makeNetboxDatabase(
  address: string,
  { tag, netbox, postgres, valkey }: NetboxDatabase,
): Promise<void> {
  const docker = dockerCommand(address);
  await using database = await BuildContainer.start(address, postgres.tag, { NetworkMode: "none" });
  const NetworkMode = `container:${database.id}`;
  await using queues = await BuildContainer.start(address, valkey.tag, { NetworkMode });
  await using web = await BuildContainer.start(address, netbox.tag, { NetworkMode });

  const server = ["docker-entrypoint.sh", "postgres", "-c", "fsync=off"];
  await docker("exec", "--detach", ...asOptions(cluster), database.id, ...server);
  await docker("exec", "--detach", queues.id, "valkey-server", "--save", "");
  // With the dot, what is in the folder: without, the folder itself.
  await docker("cp", `${configuration}.`, `${web.id}:/etc/netbox/config`);
  const folder = ["--workdir", "/opt/netbox/netbox"];
  const migrate = ["/opt/netbox/docker-entrypoint.sh", "true"];
  await docker("exec", ...folder, ...asOptions(environment), web.id, ...migrate);

  const dump = ["pg_dump", "--no-owner", "--no-privileges", "--username", "netbox", "netbox"];
  const context = mkdtempSync(join(tmpdir(), "patchbay-netbox-"));
  try {
    writeFileSync(join(context, "Dockerfile"), dockerfile);
    writeFileSync(join(context, "fill.sh"), fill);
    writeFileSync(join(context, "netbox.sql"), await docker("exec", database.id, ...dump));
    await docker("build", "--quiet", "--tag", tag, "--build-arg", `FROM=${postgres.tag}`, context);
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
}

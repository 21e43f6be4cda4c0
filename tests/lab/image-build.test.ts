import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { BuildContainer } from "../../sandbox/docker/build-container.ts";
import { type DockerCommand, dockerCommand } from "../../sandbox/docker/command.ts";
import { ensureHostImage } from "../../sandbox/docker/host-image.ts";
import { ensureCatalogue, type Recipe, readRecipes } from "../../sandbox/docker/image-catalogue.ts";
import { ensureManagedEngine } from "../../sandbox/docker/managed-engine.ts";
import { netboxDatabase } from "../../sandbox/docker/netbox-database.ts";
import { Registry } from "../fixtures/registry.ts";

let address: string;
let image: string;
let docker: DockerCommand;

beforeAll(async () => {
  address = `unix://${await ensureManagedEngine()}`;
  docker = dockerCommand(address);
  ({ tag: image } = await ensureHostImage(address));
}, 900_000);

const containersOf = async (id: string) =>
  (await docker("ps", "--all", "--quiet", "--no-trunc", "--filter", `id=${id}`))
    .split("\n")
    .filter(Boolean);

test("a build container runs what it is told, and is gone afterwards", async () => {
  let id = "";
  {
    await using container = await BuildContainer.start(address, image, { NetworkMode: "none" });
    id = container.id;
    expect(await docker("exec", id, "sh", "-c", "echo built")).toBe("built");
    expect(await containersOf(id)).toEqual([id]);
  }
  await expect.poll(() => containersOf(id)).toEqual([]);
});

test("whoever builds is killed: neither the container nor what runs in it stays", async () => {
  const script = `
    import { spawn } from "node:child_process";
    import { BuildContainer } from "./sandbox/docker/build-container.ts";
    const { id } = await BuildContainer.start(process.argv[1], process.argv[2], { NetworkMode: "none" });
    spawn("docker", ["--host", process.argv[1], "exec", id, "sleep", "1000"]);
    console.log(id);
    setInterval(() => undefined, 1000);`;
  const builder = spawn(process.execPath, ["--input-type=module", "-e", script, address, image], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void builder.kill("SIGKILL"));
  const [line] = await once(builder.stdout, "data");
  const id = String(line).trim();
  await expect.poll(() => docker("top", id, "-o", "pid,args")).toContain("sleep 1000");
  builder.kill("SIGKILL");
  await expect.poll(() => containersOf(id)).toEqual([]);
});

test("an image that only one lab needs, and that can't be made, keeps no other lab back", async () => {
  // Nobody listens there.
  const recipes = readRecipes({ PATCHBAY_IMAGE_NETBOX: "127.0.0.1:9/netbox:latest" });
  const told: string[] = [];
  const ensure = (lab: string | undefined) =>
    ensureCatalogue(address, image, ({ title, detail }) => told.push(`${title}: ${detail}`), {
      recipes,
      lab,
    });
  for (const lab of [undefined, "iptables"]) {
    const { images, missing } = await ensure(lab);
    expect(images.map(({ recipe }) => recipe)).toContain("postgres");
    expect(images.map(({ recipe }) => recipe)).not.toContain("netbox");
    expect(missing).toMatchObject([{ name: "netbox", labs: ["netbox"] }]);
    expect(told.pop()).toMatch(/^Not there: image netboxcommunity\/netbox\S*, for netbox: .*pull/);
  }
  await expect(ensure("netbox")).rejects.toThrow("docker pull");
});

test("an image that every lab needs, and that can't be made, stops all", async () => {
  const recipes = readRecipes({ PATCHBAY_IMAGE_BUSYBOX: "127.0.0.1:9/busybox:latest" });
  const ensured = ensureCatalogue(address, image, () => undefined, { recipes, lab: "iptables" });
  await expect(ensured).rejects.toThrow("docker pull");
});

/** The recipe of that name, with a registry's image in its place. */
function recipeFrom(name: string, reference: string): Recipe {
  const recipes = readRecipes({ [`PATCHBAY_IMAGE_${name.toUpperCase()}`]: reference });
  const recipe = recipes.find((each) => each.name === name);
  if (recipe === undefined) throw new Error(`There is no recipe ${name}.`);
  return recipe;
}

const recipe = (name: string) => readRecipes({}).filter((each) => each.name === name);

test("a registry's image has one layer in the labs, without what its upper layers took away", async () => {
  await using registry = await Registry.start();
  const reference = `${registry.address}/library/busybox:1.37`;
  const ours = recipeFrom("busybox", reference);
  const folder = mkdtempSync(join(tmpdir(), "patchbay-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const dockerfile = `FROM ${recipe("busybox")[0]?.tag}
    RUN mkdir /gone /again && touch /gone/a /again/old /kept && chown 7:8 /kept && chmod 4755 /kept
    RUN ln /kept /same
    RUN rm -r /gone /again && mkdir /again && touch /again/new
    ENV PRICE="5 \\$ \\"net\\"" EMPTY=
    WORKDIR /again
    USER 7:8
    VOLUME /data
    EXPOSE 53/udp
    STOPSIGNAL SIGINT
    LABEL of="a registry"
    HEALTHCHECK --interval=7s CMD test -e new
    ENTRYPOINT ["ls", "-ln"]
    CMD ["/", "/again"]`;
  writeFileSync(join(folder, "Dockerfile"), dockerfile);
  await docker("build", "--quiet", "--network", "none", "--tag", reference, folder);
  onTestFinished(async () => void (await docker("image", "rm", reference, ours.tag)));
  await docker("push", "--quiet", reference);
  await docker("image", "rm", reference);

  await ensureCatalogue(address, image, () => undefined, { recipes: [ours], lab: undefined });
  const inspect = async (tag: string) => JSON.parse(await docker("image", "inspect", tag))[0];
  const [before, after] = [await inspect(reference), await inspect(ours.tag)];
  expect(before.RootFS.Layers.length).toBeGreaterThan(1);
  expect(after.RootFS.Layers).toHaveLength(1);
  expect(after.Config).toEqual(before.Config);
  expect(after.Architecture).toBe(before.Architecture);
  const listed = await docker("run", "--rm", "--network", "none", ours.tag);
  expect(listed).toMatch(/^-rwsr-xr-x +2 7 +8 .* kept$/m);
  expect(listed).toMatch(/ same$/m);
  expect(listed).toMatch(/ new$/m);
  expect(listed).not.toMatch(/ (gone|old)$/m);
});

test("with a registry's NetBox, a new database has the tables that its migrations make", async () => {
  const told: string[] = [];
  const ensure = (netbox: Recipe) =>
    ensureCatalogue(address, image, ({ title }) => told.push(title), {
      recipes: [netbox, ...recipe("postgres"), ...recipe("valkey")],
      lab: "netbox",
    });
  // What is no NetBox at all: the words say what was tried.
  const nothing = recipeFrom("netbox", recipe("busybox")[0]?.tag ?? "");
  onTestFinished(async () => void (await docker("image", "rm", nothing.tag).catch(() => "")));
  await expect(ensure(nothing)).rejects.toThrow("/etc/netbox");

  // Settings that it brings are not those of the labs.
  const reference = "patchbay-test/netbox:1";
  const folder = mkdtempSync(join(tmpdir(), "patchbay-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "plugins.py"), 'PLUGINS = ["a_plugin_that_labs_lack"]\n');
  const dockerfile = `FROM ${recipe("netbox")[0]?.tag}\nCOPY plugins.py /etc/netbox/config/`;
  writeFileSync(join(folder, "Dockerfile"), dockerfile);
  await docker("build", "--quiet", "--tag", reference, folder);
  const netbox = recipeFrom("netbox", reference);
  const database = netboxDatabase([netbox, ...recipe("postgres"), ...recipe("valkey")]);
  const tags = [reference, netbox.tag, database?.tag ?? ""];
  onTestFinished(async () => void (await docker("image", "rm", ...tags)));
  const { images } = await ensure(netbox);
  expect(told).toContain("Database of NetBox");
  const postgres = images.find((each) => each.recipe === "postgres");
  expect(postgres?.names).toContain("postgres:17-alpine");

  const tables = async (name: string) => {
    await using server = await BuildContainer.start(address, postgres?.id ?? "", {
      NetworkMode: "none",
    });
    const variables = { POSTGRES_DB: name, POSTGRES_USER: "lab", POSTGRES_PASSWORD: "of the lab" };
    const options = Object.entries(variables).flatMap(([key, value]) => ["-e", `${key}=${value}`]);
    await docker("exec", "--detach", ...options, server.id, "docker-entrypoint.sh", "postgres");
    const query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    const ask = ["psql", "--host", "127.0.0.1", "-U", "lab", "-d", name, "-Atc", query];
    // The server that fills the database listens to no address.
    for (;;) {
      const count = docker("exec", "-e", "PGPASSWORD=of the lab", server.id, ...ask);
      const answer = await count.catch(() => undefined);
      if (answer !== undefined) return Number(answer);
      await setTimeout(500);
    }
  };
  expect(await tables("netbox")).toBeGreaterThan(100);
  expect(await tables("other")).toBe(0);

  told.length = 0;
  await ensure(netbox);
  expect(told).toEqual([]);
});

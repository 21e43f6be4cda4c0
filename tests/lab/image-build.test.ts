import { spawn } from "node:child_process";
import { once } from "node:events";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { BuildContainer } from "../../sandbox/docker/build-container.ts";
import { type DockerCommand, dockerCommand } from "../../sandbox/docker/command.ts";
import { ensureHostImage } from "../../sandbox/docker/host-image.ts";
import { ensureCatalogue, readRecipes } from "../../sandbox/docker/image-catalogue.ts";
import { ensureManagedEngine } from "../../sandbox/docker/managed-engine.ts";

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

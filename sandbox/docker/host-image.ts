import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ProgressListener } from "../index.ts";
import { engineClient } from "./address.ts";
import { type DockerCommand, dockerCommand, output } from "./command.ts";
import { ensureCatalogue, readRecipes, saveCatalogue } from "./image-catalogue.ts";
import { nestedEngine } from "./nested-engine.ts";

const anonymousVolume = (target: string) => ({
  Type: "volume" as const,
  Source: "",
  Target: target,
});

const sources = fileURLToPath(new URL("../host-image/", import.meta.url));

function hashOf(files: readonly string[]): string {
  const hash = createHash("sha256");
  for (const file of files) {
    const path = join(sources, file);
    if (statSync(path).isFile()) hash.update(`${file}\0`).update(readFileSync(path)).update("\0");
  }
  return hash.digest("hex").slice(0, 12);
}

/** `deb` lines for Debian 13 from the mirror that this machine's apt uses for Debian. */
async function trixieSources(): Promise<string[]> {
  const format = "$(SITE) $(RELEASE)";
  const lines = await output("apt-get", ["indextargets", "--format", format]);
  const debian = lines.match(/^(\S+\/debian) \S+$/m)?.[1];
  // Without a line, mmdebstrap takes Debian's own default mirror.
  return debian === undefined ? [] : [`deb ${debian} trixie main`];
}

/** Whether this machine makes root filesystems itself; else a container of Debian's image does. */
async function canBootstrap(): Promise<boolean> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  return output("mmdebstrap", ["--version"]).then(
    () => true,
    () => false,
  );
}

/** The lab host's packages, as one layer: rebuilt only when their list changes. */
async function ensureRootfs(docker: DockerCommand, onProgress: ProgressListener): Promise<string> {
  const tag = `patchbay/rootfs:${hashOf(["packages.txt"])}`;
  if ((await docker("image", "ls", "--quiet", tag)) !== "") return tag;
  onProgress({ title: "Debian packages of the lab host", detail: "about a minute" });
  if (!(await canBootstrap())) {
    const file = join(sources, "debian.Dockerfile");
    await docker("build", "--quiet", "--tag", tag, "--file", file, sources);
    return tag;
  }
  const packages = readFileSync(join(sources, "packages.txt"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const folder = mkdtempSync(join(tmpdir(), "patchbay-rootfs-"));
  try {
    const tar = join(folder, "rootfs.tar");
    await output("mmdebstrap", [
      "--variant=minbase",
      `--include=${packages.join(",")}`,
      '--aptopt=Apt::Install-Recommends "false"',
      ...["doc", "man", "locale"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
      "trixie",
      tar,
      ...(await trixieSources()),
    ]);
    await docker("import", tar, tag);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return tag;
}

/**
 * The lab host's image, built where the engine lacks it; resolves with its tag, which names its content.
 * Its inner image store is made once by an engine in a container of it, and kept in the image.
 */
export async function ensureHostImage(
  address: string,
  onProgress: ProgressListener = () => undefined,
): Promise<string> {
  const docker = dockerCommand(address);
  const files = readdirSync(sources, { recursive: true }).map(String).sort();
  const recipes = readRecipes().map((recipe) => recipe.tag);
  const content = createHash("sha256")
    .update(`${hashOf(files)} ${recipes}`)
    .digest("hex");
  const tag = `patchbay/lab-host:${content.slice(0, 12)}`;
  if ((await docker("image", "ls", "--quiet", tag)) !== "") return tag;
  const rootfs = await ensureRootfs(docker, onProgress);
  const images = await ensureCatalogue(address, rootfs, onProgress);
  onProgress({ title: "Lab host image" });
  const base = await docker("build", "--quiet", "--build-arg", `ROOTFS=${rootfs}`, sources);
  const { id: builder } = await engineClient(address).createContainer({
    Image: base,
    Entrypoint: ["/usr/lib/patchbay/build-store"],
    HostConfig: {
      ...nestedEngine,
      // Not as `Volumes`, which the image would keep.
      Mounts: ["/var/lib/docker", "/var/lib/containerd"].map(anonymousVolume),
    },
  });
  const folder = mkdtempSync(join(tmpdir(), "patchbay-images-"));
  try {
    await saveCatalogue(docker, images, folder);
    const index = images.map(({ recipe, id, names }) => [recipe, { id, names }]);
    writeFileSync(join(folder, "index.json"), JSON.stringify(Object.fromEntries(index)));
    await docker("cp", `${folder}/.`, `${builder}:/usr/share/patchbay/images`);
    await docker("start", "--attach", builder);
    const entrypoint = 'ENTRYPOINT ["/usr/bin/tini", "--", "/usr/lib/patchbay/lab-init"]';
    await docker("commit", "--change", entrypoint, builder, tag);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await docker("rm", "--force", "--volumes", builder);
  }
  await removeOld(docker, [tag, rootfs]);
  return tag;
}

/** Lab hosts of older versions that no lab is made of any more. */
async function removeOld(docker: DockerCommand, current: readonly string[]): Promise<void> {
  const format = "{{.Repository}}:{{.Tag}}";
  const filters = ["lab-host", "rootfs"].flatMap((name) => [
    "--filter",
    `reference=patchbay/${name}`,
  ]);
  const tags = (await docker("image", "ls", "--format", format, ...filters)).split("\n");
  const used = new Set((await docker("ps", "--all", "--format", "{{.Image}}")).split("\n"));
  const old = tags.filter((each) => each !== "" && !current.includes(each) && !used.has(each));
  if (old.length > 0) await docker("image", "rm", ...old);
}

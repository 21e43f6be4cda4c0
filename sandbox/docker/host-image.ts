import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SandboxError } from "../errors.ts";
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

/** Debian releases whose engine a lab can have: 20.10, 26.1 and the newest one. */
export const releases = ["bookworm", "trixie", "testing"] as const;
export type Release = (typeof releases)[number];
/** The one of the course; the trusted sidecar is always made of it. */
export const courseRelease: Release = "trixie";

/** The release that labs of this process are made of: `PATCHBAY_LAB_DEBIAN`. */
export function chosenRelease(): Release {
  const wanted = process.env["PATCHBAY_LAB_DEBIAN"] ?? courseRelease;
  const found = releases.find((release) => release === wanted);
  if (found !== undefined) return found;
  const message = `PATCHBAY_LAB_DEBIAN is "${wanted}". Set it to one of: ${releases.join(", ")}.`;
  throw new SandboxError("lab-start-failed", message);
}

/** `deb` lines for a release from the mirror that this machine's apt uses for Debian. */
async function sourcesOf(release: Release): Promise<string[]> {
  const format = "$(SITE) $(RELEASE)";
  const lines = await output("apt-get", ["indextargets", "--format", format]);
  const debian = lines.match(/^(\S+\/debian) \S+$/m)?.[1];
  // Without a line, mmdebstrap takes Debian's own default mirror.
  return debian === undefined ? [] : [`deb ${debian} ${release} main`];
}

/** Whether this machine makes root filesystems itself; else a container of Debian's image does. */
async function canBootstrap(): Promise<boolean> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  return output("mmdebstrap", ["--version"]).then(
    () => true,
    () => false,
  );
}

function packagesOf(release: Release): string[] {
  return readFileSync(join(sources, "packages.txt"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .flatMap((line) => {
      const [name = "", condition = ""] = line.split(" ");
      const only = condition.replace(/[[\]]/g, "");
      if (only === "") return [name];
      return (only.startsWith("!") ? only.slice(1) !== release : only === release) ? [name] : [];
    });
}

/** The lab host's packages, as one layer: rebuilt only when their list changes. */
async function ensureRootfs(
  docker: DockerCommand,
  release: Release,
  onProgress: ProgressListener,
): Promise<string> {
  const tag = `patchbay/rootfs:${release}-${hashOf(["packages.txt"])}`;
  if ((await docker("image", "ls", "--quiet", tag)) !== "") return tag;
  onProgress({ title: "Debian packages of the lab host", detail: "about a minute" });
  if (!(await canBootstrap())) {
    const file = join(sources, "debian.Dockerfile");
    const packages = `PACKAGES=${packagesOf(release).join(" ")}`;
    const options = ["--build-arg", packages, "--build-arg", `RELEASE=${release}`];
    await docker("build", "--quiet", "--tag", tag, ...options, "--file", file, sources);
    return tag;
  }
  const folder = mkdtempSync(join(tmpdir(), "patchbay-rootfs-"));
  try {
    const tar = join(folder, "rootfs.tar");
    await output("mmdebstrap", [
      "--variant=minbase",
      `--include=${packagesOf(release).join(",")}`,
      '--aptopt=Apt::Install-Recommends "false"',
      // A mirror that stands still serves lists of testing that are out of date; signatures are checked.
      ...(release === "testing" ? ['--aptopt=Acquire::Check-Valid-Until "false"'] : []),
      ...["doc", "man", "locale"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
      release,
      tar,
      ...(await sourcesOf(release)),
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
  release: Release = courseRelease,
  onProgress: ProgressListener = () => undefined,
): Promise<string> {
  const docker = dockerCommand(address);
  const files = readdirSync(sources, { recursive: true }).map(String).sort();
  const recipes = readRecipes().map((recipe) => recipe.tag);
  const content = createHash("sha256")
    .update(`${hashOf(files)} ${recipes}`)
    .digest("hex");
  const tag = `patchbay/lab-host:${release}-${content.slice(0, 12)}`;
  if ((await docker("image", "ls", "--quiet", tag)) !== "") return tag;
  const rootfs = await ensureRootfs(docker, release, onProgress);
  // Images are the same in labs of every release.
  const builder = await ensureRootfs(docker, courseRelease, onProgress);
  const images = await ensureCatalogue(address, builder, onProgress);
  onProgress({ title: "Lab host image" });
  const base = await docker("build", "--quiet", "--build-arg", `ROOTFS=${rootfs}`, sources);
  const { id: storeBuilder } = await engineClient(address).createContainer({
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
    await docker("cp", `${folder}/.`, `${storeBuilder}:/usr/share/patchbay/images`);
    await docker("start", "--attach", storeBuilder);
    const entrypoint = 'ENTRYPOINT ["/usr/bin/tini", "--", "/usr/lib/patchbay/lab-init"]';
    await docker("commit", "--change", entrypoint, storeBuilder, tag);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await docker("rm", "--force", "--volumes", storeBuilder);
  }
  await removeOld(docker, release, [tag, rootfs]);
  return tag;
}

/** Lab hosts of older versions that no lab is made of any more. */
async function removeOld(
  docker: DockerCommand,
  release: Release,
  current: readonly string[],
): Promise<void> {
  const format = "{{.Repository}}:{{.Tag}}";
  const filters = ["lab-host", "rootfs"].flatMap((name) => [
    "--filter",
    `reference=patchbay/${name}`,
  ]);
  const tags = (await docker("image", "ls", "--format", format, ...filters)).split("\n");
  const used = new Set((await docker("ps", "--all", "--format", "{{.Image}}")).split("\n"));
  const ofRelease = tags.filter((each) => each.split(":")[1]?.startsWith(`${release}-`));
  const old = ofRelease.filter((each) => !current.includes(each) && !used.has(each));
  if (old.length > 0) await docker("image", "rm", ...old);
}

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SandboxError } from "../errors.ts";
import type { ProgressListener } from "../index.ts";
import { BuildContainer } from "./build-container.ts";
import { type DockerCommand, dockerCommand, output } from "./command.ts";
import {
  type CatalogueImage,
  ensureCatalogue,
  isNeeded,
  isThere,
  type Recipe,
  readRecipes,
  saveCatalogue,
} from "./image-catalogue.ts";
import { nestedEngine } from "./nested-engine.ts";
import { netboxDatabase } from "./netbox-database.ts";

const anonymousVolume = (target: string) => ({
  Type: "volume" as const,
  Source: "",
  Target: target,
});

const sources = fileURLToPath(new URL("../host-image/", import.meta.url));

/** What the image store is made by, and what its engine is set up with. */
const storeFiles = ["store/build-store", "root/etc/containerd/patchbay.toml"];

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
  if (await isThere(docker, tag)) return tag;
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

/** The root filesystem with the store of images in it, made by an engine in a build container. */
async function buildStore(
  address: string,
  rootfs: string,
  images: readonly CatalogueImage[],
  tag: string,
): Promise<void> {
  const docker = dockerCommand(address);
  await using container = await BuildContainer.start(address, rootfs, {
    ...nestedEngine,
    // Not as `Volumes`, which the image would keep.
    Mounts: ["/var/lib/docker", "/var/lib/containerd", "/store"].map(anonymousVolume),
  });
  const folder = mkdtempSync(join(tmpdir(), "patchbay-images-"));
  try {
    await saveCatalogue(docker, images, folder);
    const index = images.map(({ recipe, id, names }) => [recipe, { id, names }]);
    writeFileSync(join(folder, "index.json"), JSON.stringify(Object.fromEntries(index)));
    await docker("exec", container.id, "mkdir", "-p", "/usr/share/patchbay/images");
    await docker("cp", `${folder}/.`, `${container.id}:/usr/share/patchbay/images`);
    for (const file of storeFiles) {
      await docker("cp", join(sources, file), `${container.id}:/store/${basename(file)}`);
    }
    await docker("exec", container.id, "/store/build-store");
    await docker("commit", "--pause=false", "--change", "ENTRYPOINT []", container.id, tag);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface HostImage {
  /** Names its content. */
  readonly tag: string;
  /** Recipes whose images it lacks; each is for certain labs alone. */
  readonly missing: readonly Recipe[];
}

/**
 * The lab host's image, built where the engine lacks it. It has each image that every lab needs, and those of `lab`.
 * One that only other labs need, and that can't be made, is left out; without `lab`, it is at least tried.
 */
export async function ensureHostImage(
  address: string,
  {
    release = courseRelease,
    onProgress = () => undefined,
    lab,
  }: {
    readonly release?: Release;
    readonly onProgress?: ProgressListener | undefined;
    readonly lab?: string | undefined;
  } = {},
): Promise<HostImage> {
  const docker = dockerCommand(address);
  const files = readdirSync(sources, { recursive: true }).map(String).sort();
  /** Tags of the image store and the lab host with certain images of the course. */
  const tagsWith = (recipes: readonly Recipe[]) => {
    const tagOf = (kind: string, content: string) => {
      const hash = createHash("sha256").update(content).digest("hex");
      return `patchbay/${kind}:${release}-${hash.slice(0, 12)}`;
    };
    const made = [...recipes, netboxDatabase(recipes)].flatMap((each) => each?.tag ?? []);
    const store = tagOf("store", `${hashOf(["packages.txt", ...storeFiles])} ${made}`);
    return { store, host: tagOf("lab-host", `${store} ${hashOf(files)}`) };
  };
  const recipes = readRecipes();
  const whole = tagsWith(recipes).host;
  if (await isThere(docker, whole)) return { tag: whole, missing: [] };
  if (lab !== undefined) {
    const there: Recipe[] = [];
    for (const recipe of recipes) {
      if (isNeeded(recipe, lab) || (await isThere(docker, recipe.tag))) there.push(recipe);
    }
    const { host } = tagsWith(there);
    if (await isThere(docker, host)) {
      return { tag: host, missing: recipes.filter((recipe) => !there.includes(recipe)) };
    }
  }
  const rootfs = await ensureRootfs(docker, release, onProgress);
  // Images are the same in labs of every release.
  const builder = await ensureRootfs(docker, courseRelease, onProgress);
  const { images, missing } = await ensureCatalogue(address, builder, onProgress, { recipes, lab });
  const made = new Set(images.map(({ recipe }) => recipe));
  const { store, host } = tagsWith(recipes.filter(({ name }) => made.has(name)));
  if (!(await isThere(docker, store))) {
    onProgress({ title: "Image store of the lab host", detail: "about a minute" });
    await buildStore(address, rootfs, images, store);
  }
  if (!(await isThere(docker, host))) {
    onProgress({ title: "Lab host image" });
    await docker("build", "--quiet", "--tag", host, "--build-arg", `STORE=${store}`, sources);
  }
  await removeOld(docker, release, [host, store, rootfs]);
  return { tag: host, missing };
}

/** Lab hosts of older versions that no lab is made of any more. */
async function removeOld(
  docker: DockerCommand,
  release: Release,
  current: readonly string[],
): Promise<void> {
  const format = "{{.Repository}}:{{.Tag}}";
  const filters = ["lab-host", "store", "rootfs"].flatMap((name) => [
    "--filter",
    `reference=patchbay/${name}`,
  ]);
  const tags = (await docker("image", "ls", "--format", format, ...filters)).split("\n");
  const used = new Set((await docker("ps", "--all", "--format", "{{.Image}}")).split("\n"));
  const ofRelease = tags.filter((each) => each.split(":")[1]?.startsWith(`${release}-`));
  const old = ofRelease.filter((each) => !current.includes(each) && !used.has(each));
  if (old.length > 0) await docker("image", "rm", ...old);
}

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { SandboxError } from "../errors.ts";
import type { ProgressListener } from "../index.ts";
import { BuildContainer } from "./build-container.ts";
import { type DockerCommand, dockerCommand } from "./command.ts";
import { makeNetboxDatabase, netboxDatabase } from "./netbox-database.ts";
import { pipSettings } from "./pip-settings.ts";
import { tagSingleLayer } from "./single-layer.ts";

const folderOfRecipes = fileURLToPath(new URL("../images/", import.meta.url));

/** `image.json` of a recipe. */
const recipeSchema = z.strictObject({
  /** What lessons type. */
  names: z.array(z.string()).min(1),
  /** Recipe that a `Dockerfile` builds on, as its build argument FROM. */
  from: z.string().optional(),
  /** Instructions of a Dockerfile for a root filesystem that `recipe.sh` made. */
  changes: z.array(z.string()).default([]),
  /** The only labs that need it; without: every lab does. */
  labs: z.array(z.string()).optional(),
});

export interface Recipe extends z.output<typeof recipeSchema> {
  readonly name: string;
  /** A registry's image to take instead: `PATCHBAY_IMAGE_POSTGRES=docker.io/postgres:17`. */
  readonly reference: string | undefined;
  /** On the outer engine; names the content. */
  readonly tag: string;
}

export interface CatalogueImage {
  readonly recipe: string;
  /** `sha256:…`, the same on every engine. */
  readonly id: string;
  readonly names: readonly string[];
}

/** Contents of every file of a recipe, and of all that it is built with. */
function contentOf(name: string): string {
  const folder = join(folderOfRecipes, name);
  const hash = createHash("sha256");
  for (const file of readdirSync(folder, { recursive: true }).map(String).sort()) {
    const path = join(folder, file);
    if (statSync(path).isFile()) hash.update(`${file}\0`).update(readFileSync(path));
  }
  const { from } = recipeSchema.parse(JSON.parse(readFileSync(join(folder, "image.json"), "utf8")));
  return hash
    .update(from === undefined ? readFileSync(join(folderOfRecipes, "lib.sh")) : contentOf(from))
    .digest("hex");
}

/** All recipes, those first that others build on. */
export function readRecipes(environment = process.env): readonly Recipe[] {
  const names = readdirSync(folderOfRecipes).filter((name) =>
    statSync(join(folderOfRecipes, name)).isDirectory(),
  );
  return names
    .map((name): Recipe => {
      const text = readFileSync(join(folderOfRecipes, name, "image.json"), "utf8");
      const reference = environment[`PATCHBAY_IMAGE_${name.toUpperCase()}`];
      const content = reference === undefined ? contentOf(name) : `single layer of ${reference}`;
      const hash = createHash("sha256").update(content).digest("hex").slice(0, 12);
      const tag = `patchbay/image-${name}:${hash}`;
      return { ...recipeSchema.parse(JSON.parse(text)), name, reference, tag };
    })
    .sort((a, b) => Number(a.from !== undefined) - Number(b.from !== undefined));
}

function exited(child: ChildProcess, what: string): Promise<void> {
  let stderr = "";
  child.stderr?.on("data", (chunk) => {
    stderr = (stderr + chunk).slice(-4000);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) return resolve();
      const end = stderr.trimEnd().split("\n").slice(-8).join("\n");
      reject(new SandboxError("lab-start-failed", `${what} ended with code ${code}:\n${end}`));
    });
  });
}

/** Runs `recipe.sh` in a container of the lab host's packages, and imports what it made. */
async function make(
  address: string,
  rootfs: string,
  { name, tag, changes }: Recipe,
): Promise<void> {
  const env = { ...process.env, DOCKER_HOST: address };
  const script = `mkdir /recipes "$root"; tar -x -C /recipes
    [ ! -e /recipes/machine ] || cp -a /recipes/machine/. /
    (. /recipes/lib.sh; . "/recipes/$1/recipe.sh") >&2
    exec tar --sort=name --mtime=@0 --numeric-owner -C "$root" -c .`;
  const { variables, files } = pipSettings();
  const staged = mkdtempSync(join(tmpdir(), "patchbay-recipe-"));
  for (const { from, to } of files) {
    const path = join(staged, "machine", to);
    mkdirSync(dirname(path), { recursive: true });
    // By its content: what is at a path of a machine is often a link.
    writeFileSync(path, readFileSync(from));
  }
  const machine = files.length > 0 ? ["-C", staged, "machine"] : [];
  const sources = spawn("tar", ["-C", folderOfRecipes, "-c", "lib.sh", name, ...machine], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  await using container = await BuildContainer.start(address, rootfs, {
    NetworkMode: "host",
    UsernsMode: "host",
  });
  const build = spawn(
    "docker",
    [
      ...["exec", "--interactive"],
      // By their names alone: a value may be a secret, and a command line is read by all.
      ...variables.flatMap((variable) => ["--env", variable]),
      ...["--env", "root=/image", container.id, "sh", "-euc", script, "sh", name],
    ],
    { env, stdio: ["pipe", "pipe", "pipe"] },
  );
  const rootOfImage = `${tag}-root`;
  const load = spawn("docker", ["import", "-", rootOfImage], {
    env,
    stdio: ["pipe", "ignore", "pipe"],
  });
  sources.stdout.pipe(build.stdin);
  build.stdout.pipe(load.stdin);
  // Whoever ends early is told by its exit code.
  for (const stream of [build.stdin, load.stdin]) stream.on("error", () => undefined);
  try {
    await Promise.all([
      exited(sources, `tar of recipe ${name}`),
      exited(build, `Recipe ${name}`),
      exited(load, `docker import of ${name}`),
    ]);
    // Not by `import --change`: older engines know few instructions there.
    const configure = spawn("docker", ["build", "--quiet", "--tag", tag, "-"], {
      env: { ...env, DOCKER_BUILDKIT: "0" },
      stdio: ["pipe", "ignore", "pipe"],
    });
    configure.stdin.end([`FROM ${rootOfImage}`, ...changes].join("\n"));
    await exited(configure, `docker build of ${name}`);
  } finally {
    rmSync(staged, { recursive: true, force: true });
    // The name only: what was built on it stays. A recipe that broke off leaves nothing.
    await dockerCommand(address)("image", "rm", "--no-prune", rootOfImage).catch(() => undefined);
  }
}

export async function isThere(docker: DockerCommand, image: string): Promise<boolean> {
  return (await docker("image", "ls", "--quiet", image)) !== "";
}

async function ensure(address: string, rootfs: string, recipe: Recipe): Promise<void> {
  const docker = dockerCommand(address);
  const { name, reference, tag, from } = recipe;
  if (reference !== undefined) {
    if (!(await isThere(docker, reference))) await docker("pull", "--quiet", reference);
    return tagSingleLayer(address, reference, tag);
  }
  const base = readRecipes().find((each) => each.name === from);
  if (from !== undefined && base === undefined) {
    throw new SandboxError(
      "lab-start-failed",
      `Recipe ${name} builds on "${from}", which is none.`,
    );
  }
  if (base === undefined) return make(address, rootfs, recipe);
  const folder = join(folderOfRecipes, name);
  await docker("build", "--quiet", "--tag", tag, "--build-arg", `FROM=${base.tag}`, folder);
}

/**
 * The images of the course on the outer engine, each built where its recipe is new. One that can't be built stops
 * everything, unless it is of no use to `lab`: a mirror that lacks what one lesson needs must not take the others away.
 */
export async function ensureCatalogue(
  address: string,
  rootfs: string,
  onProgress: ProgressListener,
  { recipes, lab }: { readonly recipes: readonly Recipe[]; readonly lab: string | undefined },
): Promise<{
  readonly images: readonly CatalogueImage[];
  /** Recipes that could not be followed. */
  readonly missing: readonly Recipe[];
}> {
  const docker = dockerCommand(address);
  const there: Recipe[] = [];
  const missing: Recipe[] = [];
  const isMade = async (recipe: Recipe, make: () => Promise<void>) => {
    try {
      await make();
      return true;
    } catch (error) {
      if (!(error instanceof SandboxError) || isNeeded(recipe, lab)) throw error;
      const detail = error.message;
      onProgress({ title: `Not there: image ${firstName(recipe)}, for ${recipe.labs}`, detail });
      return false;
    }
  };
  for (const recipe of recipes) {
    const made = await isMade(recipe, async () => {
      if (await isThere(docker, recipe.tag)) return;
      onProgress({ title: "Image of the lessons", detail: firstName(recipe) });
      await ensure(address, rootfs, recipe);
    });
    (made ? there : missing).push(recipe);
  }
  const database = netboxDatabase(there);
  if (database !== undefined && !(await isThere(docker, database.tag))) {
    const { netbox } = database;
    onProgress({ title: "Database of NetBox", detail: "minutes, once: its migrations run" });
    if (!(await isMade(netbox, () => makeNetboxDatabase(address, database)))) {
      // Else it would be tried again for each lab.
      await docker("image", "rm", netbox.tag);
      missing.push(...there.splice(there.indexOf(netbox), 1));
    }
  }
  const filled = netboxDatabase(there);
  const images: CatalogueImage[] = [];
  for (const recipe of there) {
    const tag = recipe === filled?.postgres ? filled.tag : recipe.tag;
    const id = await docker("image", "inspect", "--format", "{{.Id}}", tag);
    images.push({ recipe: recipe.name, id, names: recipe.names });
  }
  return { images, missing };
}

const firstName = ({ names, name }: Recipe): string => names[0] ?? name;

/** Whether a lab can't do without an image; `undefined` is none in particular. */
export const isNeeded = ({ labs }: Pick<Recipe, "labs">, lab: string | undefined): boolean =>
  labs === undefined || (lab !== undefined && labs.includes(lab));

/** Writes each image as `<recipe>.tar` into a folder. */
export async function saveCatalogue(
  docker: DockerCommand,
  images: readonly CatalogueImage[],
  folder: string,
): Promise<void> {
  for (const { recipe, id } of images) {
    // By its id: an archive without names brings none back where a student removed them.
    await docker("save", "--output", join(folder, `${recipe}.tar`), id);
  }
}

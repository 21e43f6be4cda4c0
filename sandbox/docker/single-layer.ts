import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { dockerCommand, output } from "./command.ts";

/** What `docker image inspect` says of an image that its copy says too. */
const inspected = z.tuple([
  z.object({
    Architecture: z.string(),
    Os: z.string(),
    Variant: z.string().optional(),
    Created: z.string().nullish(),
    Config: z.record(z.string(), z.unknown()),
  }),
]);

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

/**
 * Tags a copy of an image that has the same files and the same configuration in a single layer.
 *
 * Layers of an image from elsewhere say by special files what they take away from those below. The image store of the
 * labs lies on an overlay file system, which makes no such files for others: they are its own signs.
 * https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
 *
 * @param address of the engine, as `DOCKER_HOST` takes it
 * @throws SandboxError `lab-start-failed` where a docker command fails
 */
export async function tagSingleLayer(address: string, image: string, tag: string): Promise<void> {
  const docker = dockerCommand(address);
  const [{ Architecture, Os, Variant, Created, Config }] = inspected.parse(
    JSON.parse(await docker("image", "inspect", image)),
  );
  const folder = mkdtempSync(join(tmpdir(), "patchbay-layer-"));
  // Some images say no command, and none is run.
  const container = await docker("create", image, "none");
  try {
    const layer = join(folder, "layer.tar");
    await docker("export", "--output", layer, container);
    const digest = await sha256Of(layer);
    const description = JSON.stringify({
      architecture: Architecture,
      os: Os,
      variant: Variant,
      created: Created ?? undefined,
      config: Config,
      rootfs: { type: "layers", diff_ids: [`sha256:${digest}`] },
      history: [{ created: Created ?? undefined, created_by: `all layers of ${image}` }],
    });
    // The form that every engine loads: https://github.com/moby/docker-image-spec/blob/main/spec.md
    const named = `${createHash("sha256").update(description).digest("hex")}.json`;
    writeFileSync(join(folder, named), description);
    renameSync(layer, join(folder, `${digest}.tar`));
    const manifest = [{ Config: named, RepoTags: [tag], Layers: [`${digest}.tar`] }];
    writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
    const archive = join(folder, "image.tar");
    const members = ["manifest.json", named, `${digest}.tar`];
    await output("tar", ["-C", folder, "-cf", archive, ...members]);
    await docker("load", "--quiet", "--input", archive);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await docker("rm", "--force", "--volumes", container);
  }
}

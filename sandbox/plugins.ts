/** Folders outside of this package that bring exercises, and labs for them. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { parse, YAMLParseError } from "yaml";
import { z } from "zod";
import { PluginError } from "./errors.ts";
import { topologies as courseTopologies, type Topology } from "./topologies/index.ts";
import { topologySchema } from "./topologies/schema.ts";

export interface Plugin {
  /** As the operator wrote it, for messages. */
  readonly name: string;
  /** Absolute path of the module whose default export is the list of exercises. */
  readonly exercises?: string;
  readonly topologies: readonly Topology[];
}

const manifestSchema = z.strictObject({
  /** Module with the exercises, from the folder. */
  exercises: z.string().startsWith("./", 'write a path that starts with "./"').optional(),
  /** YAML or JSON file with a list of topologies, from the folder. */
  topologies: z.string().startsWith("./", 'write a path that starts with "./"').optional(),
});

const example = `Its package.json should say where they are:
  {
    "type": "module",
    "patchbay": { "exercises": "./exercises.ts", "topologies": "./topologies.yaml" }
  }
"topologies" is only for labs of your own.`;

const listed = (issues: z.ZodError): string =>
  z
    .prettifyError(issues)
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");

function manifestOf(folder: string, name: string): z.output<typeof manifestSchema> {
  const path = join(folder, "package.json");
  if (!existsSync(path)) throw new PluginError(`${name} has no package.json. ${example}`);
  let manifest: unknown;
  try {
    manifest = (JSON.parse(readFileSync(path, "utf8")) as { patchbay?: unknown }).patchbay;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PluginError(`${path} is no JSON: ${error.message}`);
  }
  const parsed = manifestSchema.safeParse(manifest);
  if (parsed.success && (parsed.data.exercises ?? parsed.data.topologies) !== undefined) {
    return parsed.data;
  }
  const why = parsed.success ? "is empty" : `is wrong:\n${listed(parsed.error)}`;
  throw new PluginError(
    manifest === undefined
      ? `${path} says nothing of Patchbay. ${example}`
      : `"patchbay" in ${path} ${why}\n${example}`,
  );
}

function topologiesOf(path: string): readonly Topology[] {
  if (!existsSync(path)) throw new PluginError(`There is no file ${path}.`);
  let data: unknown;
  try {
    data = parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw new PluginError(`${path} is no YAML: ${error.message.trimEnd()}`);
  }
  const parsed = z.array(topologySchema).safeParse(data);
  if (parsed.success) return parsed.data;
  throw new PluginError(`${path} is no list of topologies:
${listed(parsed.error)}
One lab with one host:
  - name: my-lab
    networks: [{ name: lan, gateway: 10.77.0.1/24 }]
    hosts: [{ name: host1, interfaces: [{ network: lan, address: 10.77.0.11 }] }]`);
}

function readPlugin(name: string): Plugin {
  const path = resolve(name);
  if (!existsSync(path))
    throw new PluginError(`There is no plug-in ${name}: no such folder or module.`);
  if (!statSync(path).isDirectory()) return { name, exercises: path, topologies: [] };
  const { exercises, topologies } = manifestOf(path, name);
  return {
    name,
    ...(exercises === undefined ? {} : { exercises: resolve(path, exercises) }),
    topologies: topologies === undefined ? [] : topologiesOf(resolve(path, topologies)),
  };
}

/**
 * Reads what plug-ins say of themselves; none of their code runs. Each is a folder with a package.json, or a module
 * with exercises alone. Throws `PluginError`.
 */
export const readPlugins = (names: readonly string[]): readonly Plugin[] =>
  [...new Set(names)].map(readPlugin);

/** Names of plug-ins as an environment variable lists them, like PATH does. */
export const pluginNames = (list: string | undefined): readonly string[] =>
  (list ?? "").split(delimiter).filter((name) => name !== "");

/** The course's labs and those of plug-ins, by name. Throws `PluginError` for a name that is taken. */
export function withTopologies(plugins: readonly Plugin[]): Readonly<Record<string, Topology>> {
  const all: Record<string, Topology> = { ...courseTopologies };
  for (const { name: plugin, topologies } of plugins) {
    for (const topology of topologies) {
      if (Object.hasOwn(all, topology.name)) {
        throw new PluginError(
          `${plugin}: there is a lab "${topology.name}" already. Take another name for yours.`,
        );
      }
      all[topology.name] = topology;
    }
  }
  return all;
}

/** What services of a Compose file refer to, and the file does not define. */

export interface UndefinedReference {
  readonly path: readonly (string | number)[];
  readonly kind: "networks" | "volumes" | "services" | "secrets" | "configs";
  readonly name: string;
}

type Mapping = Readonly<Record<string, unknown>>;

const mapping = (value: unknown): Mapping =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Mapping) : {};

/** Names in a list, or the keys of a mapping, each with its place. */
function* named(
  value: unknown,
  path: readonly (string | number)[],
): Generator<{ readonly name: string; readonly path: readonly (string | number)[] }> {
  if (Array.isArray(value)) {
    for (const [index, name] of value.entries()) {
      if (typeof name === "string") yield { name, path: [...path, index] };
    }
  } else {
    for (const name of Object.keys(mapping(value))) yield { name, path: [...path, name] };
  }
}

/** The named volume that a service mounts; a path is none. */
function volumeOf(volume: unknown): string | undefined {
  const { type, source } = mapping(volume);
  const name = typeof volume === "string" ? volume.split(":")[0] : type === "volume" && source;
  if (typeof volume === "string" && !volume.includes(":")) return undefined;
  return typeof name === "string" && /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name) ? name : undefined;
}

/** `value`: a valid Compose file as it was read from YAML. A file that includes others is left alone. */
export function* undefinedReferences(value: unknown): Generator<UndefinedReference> {
  const file = mapping(value);
  if (file["include"] !== undefined) return;
  const defined = (kind: UndefinedReference["kind"]) => new Set(Object.keys(mapping(file[kind])));
  const services = mapping(file["services"]);
  const known = {
    networks: defined("networks").add("default"),
    volumes: defined("volumes"),
    services: defined("services"),
    secrets: defined("secrets"),
    configs: defined("configs"),
  };
  for (const [serviceName, content] of Object.entries(services)) {
    const service = mapping(content);
    // What a service takes over may come with what it refers to.
    if (service["extends"] !== undefined) continue;
    const at = ["services", serviceName];
    const lists = [
      ["networks", "networks"],
      ["depends_on", "services"],
      ["secrets", "secrets"],
      ["configs", "configs"],
    ] as const;
    for (const [key, kind] of lists) {
      for (const { name, path } of named(service[key], [...at, key])) {
        if (!known[kind].has(name) && !name.includes("$")) yield { path, kind, name };
      }
    }
    const { volumes } = service;
    for (const [index, volume] of (Array.isArray(volumes) ? volumes : []).entries()) {
      const name = volumeOf(volume);
      if (name !== undefined && !known.volumes.has(name)) {
        yield { path: [...at, "volumes", index], kind: "volumes", name };
      }
    }
  }
}

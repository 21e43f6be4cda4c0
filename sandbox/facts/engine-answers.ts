/** Answers of the engine in a lab, checked before they are used: the student may have put anything in its place. */
import { z } from "zod";
import { SandboxError, type SandboxErrorCode } from "../errors.ts";
import type { ContainerFacts, HostFacts, NetworkFacts } from "./schema.ts";

const texts = z.record(z.string(), z.string()).nullish();
const optionalText = z.string().nullish();

const listedContainer = z.object({
  Id: z.string(),
  Names: z.array(z.string()).nullish(),
  Image: z.string(),
  ImageID: z.string(),
  Created: z.int().nonnegative(),
  State: z.string(),
  Labels: texts,
  Ports: z
    .array(
      z.object({
        IP: optionalText,
        PrivatePort: z.int().nonnegative(),
        PublicPort: z.int().nonnegative().nullish(),
        Type: z.string(),
      }),
    )
    .nullish(),
  HostConfig: z.object({ NetworkMode: optionalText }).nullish(),
  NetworkSettings: z
    .object({
      Networks: z
        .record(
          z.string(),
          z.object({
            NetworkID: optionalText,
            IPAddress: optionalText,
            IPPrefixLen: z.int().nonnegative().nullish(),
            Gateway: optionalText,
            MacAddress: optionalText,
          }),
        )
        .nullish(),
    })
    .nullish(),
  Mounts: z
    .array(
      z.object({
        Type: z.string(),
        Name: optionalText,
        Source: optionalText,
        Destination: z.string(),
        RW: z.boolean(),
      }),
    )
    .nullish(),
});

const details = z.object({
  State: z.object({
    Pid: z.int().nonnegative(),
    Health: z.object({ Status: z.string() }).nullish(),
  }),
  Config: z.object({ Env: z.array(z.string()).nullish() }),
  HostConfig: z.object({ RestartPolicy: z.object({ Name: z.string() }).nullish() }),
});

const network = z.object({
  Id: z.string(),
  Name: z.string(),
  Driver: z.string(),
  Scope: z.string(),
  Internal: z.boolean().nullish(),
  Attachable: z.boolean().nullish(),
  Options: texts,
  Labels: texts,
  IPAM: z.object({
    Config: z
      .array(z.object({ Subnet: optionalText, IPRange: optionalText, Gateway: optionalText }))
      .nullish(),
  }),
});

const image = z.object({
  Id: z.string(),
  RepoTags: z.array(z.string()).nullish(),
  Created: z.int(),
  Size: z.int().nonnegative(),
});

const service = z.object({
  ID: z.string(),
  Spec: z.object({
    Name: z.string(),
    Mode: z.object({ Replicated: z.object({ Replicas: z.int().nonnegative() }).nullish() }),
    TaskTemplate: z.object({
      ContainerSpec: z.object({ Image: z.string() }).nullish(),
      Networks: z.array(z.object({ Target: z.string() })).nullish(),
    }),
  }),
  Endpoint: z
    .object({
      Ports: z
        .array(
          z.object({
            Protocol: z.string(),
            TargetPort: z.int().nonnegative(),
            PublishedPort: z.int().nonnegative().nullish(),
            PublishMode: optionalText,
          }),
        )
        .nullish(),
    })
    .nullish(),
  ServiceStatus: z.object({ RunningTasks: z.int().nonnegative() }).nullish(),
});

const pairs = (record: Readonly<Record<string, string>> | null | undefined) =>
  Object.entries(record ?? {}).map(([name, value]) => ({ name, value }));

/** Throws `SandboxError` `lab-broken` that says what is wrong. */
export function understood<T>(schema: z.ZodType<T>, body: unknown, path: string): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const what = z.prettifyError(parsed.error).split("\n").slice(0, 2).join(" ").slice(0, 200);
  throw new SandboxError(
    "lab-broken",
    `the engine in the lab answered ${path} with something else than Docker's API does: ${what}`,
  );
}

/** What the hand brings from the engine: each source's answer, parsed but not looked at. */
export interface EngineAnswers {
  readonly answers: Readonly<Record<string, unknown>>;
  /** By container id. */
  readonly running: Readonly<Record<string, unknown>>;
}

function containers(
  { answers, running }: EngineAnswers,
  spaces: Readonly<Record<string, number | null>>,
): ContainerFacts[] {
  const path = "/containers/json";
  return understood(z.array(listedContainer), answers["containers"], path).flatMap(
    (each): ContainerFacts[] => {
      const isRunning = each.State === "running" || each.State === "paused";
      const found = Object.hasOwn(running, each.Id) ? running[each.Id] : undefined;
      // It went away between list and look.
      if (isRunning && found === undefined) return [];
      const more = isRunning
        ? understood(details, found, `/containers/${each.Id.slice(0, 12)}/json`)
        : undefined;
      const names = each.Names ?? [];
      const own = names.find((name) => name.lastIndexOf("/") === 0) ?? names[0] ?? each.Id;
      const status = more?.State.Health?.Status;
      const pid = more?.State.Pid ?? 0;
      return [
        {
          id: each.Id,
          name: own.replace(/^\//, ""),
          image: each.Image,
          imageId: each.ImageID,
          createdAtMs: each.Created * 1000,
          state: each.State,
          running: isRunning,
          paused: each.State === "paused",
          pid,
          health:
            status === "starting" || status === "healthy" || status === "unhealthy" ? status : null,
          labels: pairs(each.Labels),
          environment: more === undefined ? null : (more.Config.Env ?? []),
          restartPolicy: more === undefined ? null : more.HostConfig.RestartPolicy?.Name || "no",
          networkMode: each.HostConfig?.NetworkMode ?? "",
          networks: Object.entries(each.NetworkSettings?.Networks ?? {}).map(([name, end]) => ({
            name,
            id: end.NetworkID ?? "",
            address: end.IPAddress ?? "",
            prefix: end.IPPrefixLen ?? 0,
            gateway: end.Gateway ?? "",
            mac: end.MacAddress ?? "",
          })),
          published: (each.Ports ?? []).flatMap(({ IP, PrivatePort, PublicPort, Type }) =>
            PublicPort
              ? [{ hostAddress: IP ?? "", hostPort: PublicPort, port: `${PrivatePort}/${Type}` }]
              : [],
          ),
          mounts: (each.Mounts ?? []).map(({ Type, Name, Source, Destination, RW }) => ({
            kind: Type,
            name: Name || null,
            source: Source ?? "",
            target: Destination,
            writable: RW,
          })),
          namespace: (Object.hasOwn(spaces, each.Id) && spaces[each.Id]) || null,
        },
      ];
    },
  );
}

const networks = ({ answers }: EngineAnswers): NetworkFacts[] =>
  understood(z.array(network), answers["networks"], "/networks").map((each) => ({
    id: each.Id,
    name: each.Name,
    driver: each.Driver,
    scope: each.Scope,
    internal: each.Internal ?? false,
    attachable: each.Attachable ?? false,
    bridge:
      each.Driver === "bridge"
        ? (each.Options?.["com.docker.network.bridge.name"] ?? `br-${each.Id.slice(0, 12)}`)
        : null,
    subnets: (each.IPAM.Config ?? []).flatMap(({ Subnet, IPRange, Gateway }) =>
      Subnet ? [{ subnet: Subnet, range: IPRange || null, gateway: Gateway || null }] : [],
    ),
    options: pairs(each.Options),
    labels: pairs(each.Labels),
  }));

const images = ({ answers }: EngineAnswers): NonNullable<HostFacts["images"]> =>
  understood(z.array(image), answers["images"], "/images/json").map(
    ({ Id, RepoTags, Created, Size }) => ({
      id: Id,
      tags: RepoTags ?? [],
      createdAtMs: Created * 1000,
      bytes: Size,
    }),
  );

const services = ({ answers }: EngineAnswers): NonNullable<HostFacts["services"]> =>
  understood(z.array(service), answers["services"], "/services").map(
    ({ ID, Spec, Endpoint, ServiceStatus }) => ({
      id: ID,
      name: Spec.Name,
      image: Spec.TaskTemplate.ContainerSpec?.Image ?? "",
      replicas: Spec.Mode.Replicated?.Replicas ?? null,
      running: ServiceStatus?.RunningTasks ?? null,
      networks: (Spec.TaskTemplate.Networks ?? []).map(({ Target }) => Target),
      published: (Endpoint?.Ports ?? []).flatMap(
        ({ Protocol, TargetPort, PublishedPort, PublishMode }) =>
          PublishedPort
            ? [
                {
                  port: `${TargetPort}/${Protocol}`,
                  publishedPort: PublishedPort,
                  mode: PublishMode ?? "ingress",
                },
              ]
            : [],
      ),
    }),
  );

const about = z.object({ server: z.string(), swarm: z.string() });

function engine({ answers }: EngineAnswers): NonNullable<HostFacts["engine"]> {
  const { server, swarm } = understood(about, answers["engine"], "/_ping");
  // Docker/26.1.5+dfsg1 (linux)
  const version = /^Docker\/(\S+)/.exec(server)?.[1];
  if (version === undefined) {
    throw new SandboxError(
      "lab-broken",
      "what answers at /run/docker.sock in the lab is no Docker engine",
    );
  }
  const [state = "", role] = swarm.split("/");
  return { version, swarm: { state, manager: role === "manager" } };
}

const readers = { engine, containers, networks, images, services };

type Claims = { [Source in keyof typeof readers]: ReturnType<(typeof readers)[Source]> | null };

/**
 * What the engine says, each source by itself: null where its answer did not come, or is not what Docker's API gives;
 * then `note` is told why in the second case.
 */
export function readAnswers(
  brought: EngineAnswers | null,
  spaces: Readonly<Record<string, number | null>>,
  note: (source: string, code: SandboxErrorCode, why: string) => void,
): Claims {
  const read = <T>(
    source: keyof typeof readers,
    reader: (answers: EngineAnswers) => T,
  ): T | null => {
    if (brought === null || !Object.hasOwn(brought.answers, source)) return null;
    try {
      return reader(brought);
    } catch (error) {
      if (!(error instanceof SandboxError)) throw error;
      note(source, error.code, error.message);
      return null;
    }
  };
  return {
    engine: read("engine", engine),
    containers: read("containers", (answers) => containers(answers, spaces)),
    networks: read("networks", networks),
    images: read("images", images),
    services: read("services", services),
  };
}

/** The compose project of the lab, as it lies on the disk and as it runs. */

import { isMap, LineCounter, parseDocument } from "yaml";
import type { LabHost } from "../../../../sandbox/index.ts";
import type { Text } from "../../../core/text.ts";
import type { ContainerModel, HostModel } from "../../../facts/model.ts";

export const FOLDER = "/root/netbox-docker";

/** Why something can't be judged as it is, in the student's terms. */
export interface Problem {
  readonly problem: Text;
}

/** Containers of a service, the lab's own project first, those that run first. */
export const containersOf = (host: HostModel, service: string): readonly ContainerModel[] =>
  host.containers
    .filter(({ labels }) => labels["com.docker.compose.service"] === service)
    .toSorted((a, b) => Number(b.running) - Number(a.running));

/** What is wrong with the project's files, by file and line; empty where compose can read them. */
export async function fileProblems(host: LabHost, signal: AbortSignal): Promise<readonly Text[]> {
  const problems: Text[] = [];
  const known = new Set<string>();
  for (const name of ["docker-compose.yml", "docker-compose.override.yml"]) {
    const read = await host.hand().readFile(`${FOLDER}/${name}`, { signal });
    if ("problem" in read) {
      // Without an override compose goes by the first file alone.
      if (name === "docker-compose.yml") problems.push(`${name}: ${read.problem}`);
      continue;
    }
    const lines = new LineCounter();
    const document = parseDocument(read.text, { lineCounter: lines, merge: true });
    const at = (offset: number) => `${name}:${lines.linePos(offset).line}`;
    for (const error of document.errors) {
      problems.push(
        `${at(error.pos[0])}: ${error.message.split("\n")[0]?.replace(/ at line.*/, "")}`,
      );
    }
    if (document.errors.length > 0) continue;
    const services = document.get("services", true);
    const plain = (document.toJS() as { services?: Record<string, unknown> } | null)?.services;
    for (const { key } of isMap(services) ? services.items : []) {
      const service = String(key);
      const { range } = key as { range?: [number, number, number] };
      const makes = Object.keys((plain?.[service] ?? {}) as object);
      if (!known.has(service) && !makes.some((each) => /^(image|build|extends)$/.test(each))) {
        const where = range ? at(range[0]) : name;
        const others = [...known].join(", ");
        problems.push({
          en: `${where}: service "${service}" has neither image nor build; there are ${others}`,
          ru: `${where}: у сервиса "${service}" нет ни image, ни build; есть ${others}`,
        });
      }
      known.add(service);
    }
  }
  return problems;
}

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { labText } from "../../../src/i18n/lab.ts";
import { isCompose, yamlProblems } from "../../../src/lab/editor/yaml-lint.ts";

/** What the editor marks, and its words. */
function told(text: string, path = "/root/compose.yaml", language: "en" | "ru" = "en"): string[] {
  return yamlProblems(path, text, labText[language].editor).map(
    ({ from, to, severity, message }) => `${severity} [${text.slice(from, to)}] ${message}`,
  );
}

describe("a Compose file", () => {
  test("that is right has no problem", () => {
    const text = `
name: shop
services:
  web:
    image: nginx
    ports: ["8080:80", { target: 443, published: "8443" }]
    environment: [A=b, C]
    depends_on: { db: { condition: service_healthy } }
    networks: { front: { ipv4_address: 10.5.0.2 }, default: }
    volumes: ["./html:/usr/share/nginx/html:ro", "data:/data", /anonymous]
    x-note: anything
  db:
    image: postgres
    deploy: { replicas: "\${N}", resources: { limits: { memory: 512M } } }
    healthcheck: { test: [CMD, pg_isready], interval: 1m30s, timeout: "\${T}", retries: 3 }
networks:
  front: { ipam: { config: [{ subnet: 10.5.0.0/24 }] } }
volumes: { data: }
`;
    expect(told(text)).toEqual([]);
  });

  test("says what Compose would not take, at its place", () => {
    const text = `
version: "3.9"
services:
  web:
    image: 5
    prots: ["80:80"]
    ports: "80:80"
    restart: [a]
    healthcheck: { interval: fast, retries: many }
    depends_on: { db: { condition: healthy } }
    networks: { front: { ipv4_address: 5 } }
    volumes: [{ type: bin }]
  "my web!": { image: a }
networks:
  a: { ipam: { config: { subnet: 1 } }, drivr: bridge }
service: {}
`;
    expect(told(text)).toMatchInlineSnapshot(`
      [
        "warning [version] version is obsolete: Compose ignores it and warns. Leave it out.",
        "error [5] services.web.image must be text.",
        "error [prots] prots is no key of services.web. Did you mean ports?",
        "error ["80:80"] services.web.ports must be a list (- item).",
        "error [restart] services.web.restart must be text.",
        "error [fast] services.web.healthcheck.interval must be a time such as 30s, 1m30s or 500ms.",
        "error [healthy] services.web.depends_on.db.condition must be one of: service_started, service_healthy, service_completed_successfully.",
        "error [5] services.web.networks.front.ipv4_address must be text.",
        "error [bin] services.web.volumes[0].type must be one of: bind, volume, tmpfs, cluster, npipe, image.",
        "error ["my web!"] my web! is no name that services may have.",
        "error [config] networks.a.ipam.config must be a list (- item).",
        "error [drivr] drivr is no key of networks.a. Did you mean driver?",
        "error [service] service is no key of the file. Did you mean services?",
      ]
    `);
  });

  test("says so in Russian, too", () => {
    expect(
      told("services:\n  web: { imag: a, ports: 80 }\n\tx: 1", "/root/compose.yml", "ru"),
    ).toMatchInlineSnapshot(`
      [
        "error [	] Отступы в YAML делают пробелами, не табуляцией.",
      ]
    `);
    expect(
      told("services:\n  web: { imag: a, ports: 80 }", "/root/compose.yml", "ru"),
    ).toMatchInlineSnapshot(`
      [
        "error [imag] У services.web нет ключа imag. Может быть, image?",
        "error [80] services.web.ports: здесь должно быть список (- элемент).",
      ]
    `);
  });

  test("warns of what it refers to and does not define", () => {
    const text = `
services:
  web:
    image: nginx
    networks: [front, default]
    depends_on: [dbb]
    volumes: [data:/data, "./x:/x"]
`;
    expect(told(text)).toMatchInlineSnapshot(`
      [
        "warning [front] There is no network front in the file: define it under networks.",
        "warning [dbb] There is no service dbb in the file.",
        "warning [data:/data] There is no volume data in the file: define it under volumes.",
      ]
    `);
    expect(told(text, "/root/compose.override.yaml")).toEqual([]);
    expect(told(`include: [other.yaml]${text}`)).toEqual([]);
  });

  test.each([
    ["services: [a]"],
    ["- a"],
    ["just text"],
    ["services: { web: }"],
    ["services: { web: { build: [] } }"],
    ["services: &a { web: *a }"],
    ["{ a: &a [1], b: [*a, *a], services: null }"],
    ["? [complex]\n: key"],
    ["services: !!binary aaaa"],
    [""],
  ])("of the shape %j is told something sensible, and nothing breaks", (text) => {
    for (const line of told(text)) expect(line).toMatch(/^(error|warning) \[.*\] \S/s);
  });
});

describe("any YAML", () => {
  test("has its own mistakes told at their place", () => {
    expect(told("a: 1\na: 2\n", "/root/x.yaml")).toMatchInlineSnapshot(`
      [
        "error [a] Map keys must be unique",
      ]
    `);
    expect(told("a:\n\t- b\n", "/root/x.yaml")).toMatchInlineSnapshot(`
      [
        "error [	] Tabs are not allowed as indentation",
      ]
    `);
    expect(told('a: "open\n', "/root/x.yaml")).toMatchInlineSnapshot(`
      [
        "error [] Missing closing "quote",
      ]
    `);
    expect(told("prots: 1\n", "/root/x.yaml")).toEqual([]);
  });

  test("that grows without end is refused, not followed", () => {
    const bomb = `a0: &a0 [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(9).fill(`*a${i}`).join(",")}]`).join("\n")}\n`;
    const startMs = performance.now();
    expect(told(bomb).join()).toContain("Excessive alias count");
    expect(performance.now() - startMs).toBeLessThan(2000);
  });
});

test("Compose files are known by their names", () => {
  const names = ["compose.yaml", "docker-compose.yml", "compose.override.yaml", "compose-dev.yml"];
  expect(names.map((name) => isCompose(`/root/${name}`))).toEqual([true, true, true, true]);
  expect(["my-compose.yaml", "compose.json", "composer.yaml"].map(isCompose)).toEqual([
    false,
    false,
    false,
  ]);
});

test("the schema is the Compose Specification's, with what the course uses", () => {
  const schema = JSON.parse(
    readFileSync("node_modules/dclint/schemas/compose.schema.json", "utf8"),
  );
  expect(schema.title).toBe("Compose Specification");
  expect(Object.keys(schema.properties)).toEqual(
    expect.arrayContaining(["include", "name", "services"]),
  );
});

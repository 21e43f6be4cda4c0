/** Exercises from outside of the package, and those of the course by the same rules. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { z } from "zod";
import { exerciseSchema } from "../../../graders/core/definition.ts";
import { entryOf, exercises } from "../../../graders/index.ts";

const graders = fileURLToPath(new URL("../../../bin/graders.mjs", import.meta.url));
const example = fileURLToPath(new URL("../../../examples/failure-drills", import.meta.url));
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A folder with these files, elsewhere on the machine. */
function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "pb-"));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

async function list(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [graders, "list", ...args], {
    env: { ...process.env, NO_COLOR: "1", ...environment },
  });
  const [stdout, stderr, code] = await Promise.all([
    child.stdout.toArray(),
    child.stderr.toArray(),
    new Promise((resolve) => child.on("exit", resolve)),
  ]);
  return { code, stdout: stdout.join(""), stderr: stderr.join("") };
}

/** What the command says of a plug-in that it refuses, without the example that follows. */
async function refusal(plugin: string): Promise<string> {
  const { code, stdout, stderr } = await list(["--plugin", plugin]);
  expect([code, stdout]).toEqual([2, ""]);
  return stderr.replaceAll(folders.at(-1) ?? "\0", "PLUGIN").replace(/\n\n {2}import.*/s, "");
}

const manifest = JSON.stringify({ type: "module", patchbay: { exercises: "./exercises.ts" } });
const exercise = `{
  id: "bridge/mine", title: "Mine", lesson: "bridge", lab: "bridge", requires: [], checks: [one],
  solutions: [{ name: "do", title: "Do", script: "true" }],
  wrongAnswers: [{ name: "not", title: "Not", rejectedBy: "one", script: "true" }],
}`;
const module_ = (list: string) => `
import { check, pass } from "patchbay/graders";
const one = check({ id: "one", title: "One", run: () => pass() });
const two = check({ id: "two", title: "Two", needs: { one }, run: () => pass() });
export default ${list};
`;
const plugin = (list: string) =>
  folderOf({ "package.json": manifest, "exercises.ts": module_(list) });

test("every exercise of the course is as a plug-in's must be", () => {
  const parsed = z.array(exerciseSchema).safeParse(exercises);
  expect(parsed.success ? [] : z.prettifyError(parsed.error)).toEqual([]);
  expect(new Set(exercises.map(({ id }) => id)).size).toBe(exercises.length);
});

test("are listed like the course's, whether named by an option, by the environment, or as a module", async () => {
  const own = {
    exercise: "drills/cable-out",
    lesson: "drills",
    lab: "drills",
    title: "A cable that is pulled out, and put back",
    requires: [],
  };
  const json = ["--format", "json"];
  const byOption = await list([...json, "--plugin", example]);
  expect(JSON.parse(byOption.stdout)).toEqual([...exercises.map(entryOf), own]);
  const mine = plugin(`[${exercise}]`);
  const byEnvironment = await list(json, { PATCHBAY_PLUGINS: `${example}:${mine}` });
  expect(JSON.parse(byEnvironment.stdout).slice(-2)).toMatchObject([
    own,
    { exercise: "bridge/mine", lab: "bridge" },
  ]);
  const asModule = await list([...json, "--plugin", join(mine, "exercises.ts")]);
  expect(JSON.parse(asModule.stdout).at(-1)).toMatchObject({ exercise: "bridge/mine" });
});

test("titles are listed in the language that is asked for, and in their only one", async () => {
  const russian = await list([
    "--format",
    "json",
    "--language",
    "ru",
    "--plugin",
    plugin(`[${exercise}]`),
  ]);
  const titles = JSON.parse(russian.stdout).map(({ title }: { title: string }) => title);
  expect(titles).toContain("Мост и три пространства имён вручную");
  expect(titles.at(-1)).toBe("Mine");
  const unknown = await list(["--language", "rus"]);
  expect([unknown.code, unknown.stderr]).toEqual([
    2,
    expect.stringContaining('There is no language "rus". Did you mean "ru"?'),
  ]);
});

test("a plug-in that is wrong is refused with what is wrong and how to mend it", async () => {
  expect(await refusal("/nowhere")).toMatchInlineSnapshot(`
    "error There is no plug-in /nowhere: no such folder or module.
    "
  `);
  expect(await refusal(folderOf({}))).toMatchInlineSnapshot(`
    "error PLUGIN has no package.json. Its package.json should say where they are:
      {
        "type": "module",
        "patchbay": { "exercises": "./exercises.ts", "topologies": "./topologies.yaml" }
      }
    "topologies" is only for labs of your own.
    "
  `);
  expect(await refusal(folderOf({ "package.json": "{}" }))).toMatchInlineSnapshot(`
    "error PLUGIN/package.json says nothing of Patchbay. Its package.json should say where they are:
      {
        "type": "module",
        "patchbay": { "exercises": "./exercises.ts", "topologies": "./topologies.yaml" }
      }
    "topologies" is only for labs of your own.
    "
  `);
  expect(
    await refusal(folderOf({ "package.json": '{"patchbay": {"exercise": "./x.ts"}}' })),
  ).toMatchInlineSnapshot(`
    "error "patchbay" in PLUGIN/package.json is wrong:
      ✖ Unrecognized key: "exercise"
    Its package.json should say where they are:
      {
        "type": "module",
        "patchbay": { "exercises": "./exercises.ts", "topologies": "./topologies.yaml" }
      }
    "topologies" is only for labs of your own.
    "
  `);
  expect(await refusal(folderOf({ "package.json": manifest }))).toMatchInlineSnapshot(`
    "error There is no module PLUGIN/exercises.ts, which should hold the exercises.
    "
  `);
  expect(await refusal(plugin("undefined"))).toMatchInlineSnapshot(
    `"error PLUGIN/exercises.ts has no default export; its default export must be a list of exercises:"`,
  );
  expect(await refusal(plugin("{ one }"))).toMatchInlineSnapshot(
    `"error PLUGIN/exercises.ts exports an object; its default export must be a list of exercises:"`,
  );
  expect(
    await refusal(
      plugin(`[${exercise}, { ...${exercise}, id: "Two Words", checks: [two, two], solutions: [],
        wrongAnswers: [{ name: "not", title: "Not", rejectedBy: "on", script: 7 }], hint: "x" }]`),
    ),
  ).toMatchInlineSnapshot(`
    "error PLUGIN/exercises.ts has exercises that are wrong:
      exercise Two Words, id: write it like lesson/what-to-do
      exercise Two Words, solutions: give at least one solution
      exercise Two Words, wrongAnswers[0].script: a script, or a list of { host, script }
      exercise Two Words: Unrecognized key: "hint"
    A right one:"
  `);
  expect(
    await refusal(
      plugin(`[{ ...${exercise}, checks: [two, two],
        wrongAnswers: [1, 2].map(() => ({ name: "not", title: "Not", rejectedBy: "on", script: "" })) }]`),
    ),
  ).toMatchInlineSnapshot(`
    "error PLUGIN/exercises.ts has exercises that are wrong:
      exercise bridge/mine, checks[0].needs: "one" is not among the checks: list it there too
      exercise bridge/mine, checks[1].id: "two" is taken: take another id
      exercise bridge/mine, checks[1].needs: "one" is not among the checks: list it there too
      exercise bridge/mine, wrongAnswers[1].name: "not" is taken: take another name
      exercise bridge/mine, wrongAnswers[0].rejectedBy: there is no check "on": take one of two
      exercise bridge/mine, wrongAnswers[1].rejectedBy: there is no check "on": take one of two
    A right one:"
  `);
  expect(
    await refusal(
      plugin(
        `[{ ...${exercise}, title: { en: "Mine" } },
          { ...${exercise}, id: "bridge/other", checks: [{ ...one, title: { en: "One" } }] }]`,
      ),
    ),
  ).toMatchInlineSnapshot(`
    "error PLUGIN/exercises.ts has exercises that are wrong:
      exercise bridge/mine, title: write a text, or the same in both languages: { en, ru }
      exercise bridge/other, checks[0].title: write a text, or the same in both languages: { en, ru }
    A right one:"
  `);
  expect(await refusal(plugin(`[${exercise}, ${exercise}]`))).toMatchInlineSnapshot(`
    "error PLUGIN/exercises.ts: there is an exercise "bridge/mine" already. Take another id.
    "
  `);
  expect(
    await refusal(plugin(`[{ ...${exercise}, id: "bridge/by-hand" }]`)),
  ).toMatchInlineSnapshot(`
    "error PLUGIN/exercises.ts: there is an exercise "bridge/by-hand" already. Take another id.
    "
  `);
  expect(await refusal(plugin(`[{ ...${exercise}, lab: "brigde" }]`))).toMatchInlineSnapshot(`
    "error PLUGIN/exercises.ts, bridge/mine: There is no lab "brigde". Did you mean "bridge"? There are: namespaces, veth, bridge, drivers, iptables, overlay, compose, netbox.
    "
  `);
  const thrown = await refusal(plugin("nobody.knows()"));
  expect(thrown).toContain("PLUGIN/exercises.ts could not be loaded:");
  expect(thrown).toContain("ReferenceError: nobody is not defined");
}, 60_000);

test("labs of a plug-in that are wrong are refused with what is wrong", async () => {
  const labs = (text: string) =>
    folderOf({
      "package.json": '{"patchbay": {"topologies": "./labs.yaml"}}',
      "labs.yaml": text,
    });
  expect(await refusal(labs("- name: [\n"))).toMatchInlineSnapshot(`
    "error PLUGIN/labs.yaml is no YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 2, column 1:

    - name: [

    ^
    "
  `);
  expect(
    await refusal(labs("- name: mine\n  networks: [{ name: lan, gateway: 10.77.0.1 }]\n")),
  ).toMatchInlineSnapshot(`
    "error PLUGIN/labs.yaml is no list of topologies:
      ✖ Invalid input: expected array, received undefined
        → at [0].hosts
      ✖ write the gateway's address with its prefix, like 10.77.0.1/24
        → at [0].networks[0].gateway
    One lab with one host:
      - name: my-lab
        networks: [{ name: lan, gateway: 10.77.0.1/24 }]
        hosts: [{ name: host1, interfaces: [{ network: lan, address: 10.77.0.11 }] }]
    "
  `);
  const taken = `- name: bridge
  networks: [{ name: lan, gateway: 10.77.0.1/24 }]
  hosts: [{ name: host1, interfaces: [{ network: lan, address: 10.77.0.11 }] }]
`;
  expect(await refusal(labs(taken))).toMatchInlineSnapshot(`
    "error PLUGIN: there is a lab "bridge" already. Take another name for yours.
    "
  `);
});

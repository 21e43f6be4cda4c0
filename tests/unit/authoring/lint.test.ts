import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readLesson } from "../../../src/authoring/lesson-source.ts";
import { lintContent } from "../../../src/authoring/lint.ts";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "pb-content-"));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function write(file: string, text: string): void {
  const path = join(root, "content", file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

const told = () =>
  `\n${lintContent(root)
    .map(({ file, line, message }) => `${file}:${line}: ${message}`)
    .join("\n")}\n`;

const page = (body: string, front = "title: A page\ndescription: What it is about.\nlab: veth") =>
  `---\n${front}\n---\n\n${body}\n`;
const both = (body: string, front?: string) => {
  write("lessons/en/veth.mdx", page(body, front));
  write("lessons/ru/veth.mdx", page(body, front));
};
const checks = `<Check exercise="veth/connect-two-namespaces" />

<Check exercise="veth/find-host-peer" />`;

test("finds nothing in content that is in order", () => {
  const english = `## A cable\n\nText with [a link](/veth/#a-cable) and <Term id="veth">a pair</Term>.

<Run command="ip link" expect="lo" />

<Run command={\`echo one
echo two\`} exit={0} />

<Quiz id="veth/ends" />

${checks}`;
  write("lessons/en/veth.mdx", page(english));
  const russian = english
    .replace("## A cable", "## Кабель")
    .replace(/Text.*\n/, 'Текст со [ссылкой](/ru/veth/#кабель) и <Term id="veth">парой</Term>.\n');
  write("lessons/ru/veth.mdx", page(russian));
  write("glossary.yaml", "veth: { en: { term: veth, text: A. }, ru: { term: veth, text: А. } }\n");
  const words = "{ en: a, ru: б }";
  write(
    "quizzes/veth.yaml",
    `- { id: ends, kind: one, question: ${words}, explanation: ${words}, options: [{ text: ${words}, right: true }, { text: ${words} }] }\n`,
  );
  expect(lintContent(root)).toEqual([]);
});

test("tells what is wrong with blocks, exercises, questions, terms and links, and where", () => {
  both(`## A cable

<Run command="ip link" />

<Run command="ip link" expect="(" exit={1.5} seconds={999} host="host2" />

<Run command="ip link" expect=".*" />

<Run comand="ip link" exit={0} />

<Check exercise="veth/find-host-per" />

<Check exercise="bridge/by-hand" />

${checks}

<Quiz id="veth/nothing" />

<Term id="vet">x</Term> [away](/vet/) [inside](#a-cabel) [out](https://example.org/)`);
  write("glossary.yaml", "veth: { en: { term: veth, text: A. }, ru: { term: veth, text: А. } }\n");
  const english = told()
    .split("\n")
    .filter((line) => !line.startsWith("content/lessons/ru/"))
    .join("\n");
  expect(english).toMatchInlineSnapshot(`
    "
    content/lessons/en/veth.mdx:9: <Run> has no expectation: give expect="a pattern of its output", or exit={0}
    content/lessons/en/veth.mdx:11: <Run>: expect="(" is no pattern: Invalid regular expression: /(/ms: Unterminated group
    content/lessons/en/veth.mdx:11: <Run>: exit is a number from 0 to 255, in braces: exit={1}
    content/lessons/en/veth.mdx:11: <Run>: seconds is a number from 1 to 300, in braces: seconds={60}
    content/lessons/en/veth.mdx:11: <Run>: There is no host "host2". Did you mean "host1"? There are: host1.
    content/lessons/en/veth.mdx:13: <Run>: expect=".*" holds for no output at all
    content/lessons/en/veth.mdx:15: <Run>: There is no attribute "comand". Did you mean "command"? There are: command, expect, exit, host, terminal, interrupt, background, seconds.
    content/lessons/en/veth.mdx:15: <Run> needs command
    content/lessons/en/veth.mdx:17: <Check>: There is no exercise "veth/find-host-per". Did you mean "veth/find-host-peer"? There are: namespaces/create-netns, namespaces/expose-container-netns, veth/connect-two-namespaces, veth/find-host-peer, bridge/by-hand, bridge/user-defined-dns, bridge/custom-options, drivers/host-and-none, drivers/macvlan-underlay, drivers/ipvlan-l2, iptables/publish-ports, iptables/block-one-client, homework/inter-network-ping, overlay/vxlan-by-hand, overlay/swarm-attachable, compose/from-run-commands, compose/networks-and-ipam, compose/override-merge, compose/build-args, compose/healthcheck, homework/netbox-rqworker.
    content/lessons/en/veth.mdx:19: <Check>: bridge/by-hand runs in lab "bridge", and this page's is "veth"
    content/lessons/en/veth.mdx:25: <Quiz>: There is no question "veth/nothing", nor any other.
    content/lessons/en/veth.mdx:27: <Term>: There is no term "vet". Did you mean "veth"? There are: veth.
    content/lessons/en/veth.mdx:27: dead link /vet/: There is no page "/vet/". Did you mean "/veth/"? There are: /veth/, /ru/veth/, /glossary/, /ru/glossary/.
    content/lessons/en/veth.mdx:27: dead link #a-cabel: There is no heading "a-cabel". Did you mean "a-cable"? There are: a-cable.
    "
  `);
});

test("lets blocks run on a neighbour of the lab's hosts, and on nobody else", () => {
  const blocks = ["neighbour1", "neighbour2"]
    .map((host) => `<Run host="${host}" command="ip link" expect="lo" />`)
    .join("\n\n");
  write("lessons/en/drivers.mdx", page(blocks, "title: A\ndescription: B.\nlab: drivers"));
  const aboutHosts = lintContent(root).filter(({ message }) =>
    message.includes("There is no host"),
  );
  expect(aboutHosts.map(({ line, message }) => `${line}: ${message}`)).toEqual([
    '9: <Run>: There is no host "neighbour2". Did you mean "neighbour1"? There are: host1, neighbour1.',
  ]);
});

test("tells where the two languages drifted apart, and what was not translated", () => {
  write(
    "lessons/en/veth.mdx",
    page(`## One\n\n<Run command="ip link" expect="lo" />\n\n## Two\n\n${checks}`),
  );
  const left = "This paragraph was left as it was when somebody translated the page.";
  write(
    "lessons/ru/veth.mdx",
    page(`## Раз\n\n<Run command="ip a" expect="lo" />\n\n${left}\n\n${checks}`),
  );
  write("lessons/en/extra.mdx", page("Text.", "title: Extra\ndescription: More."));
  expect(told()).toMatchInlineSnapshot(`
    "
    content/lessons/en/extra.mdx:1: there is no content/lessons/ru/extra.mdx
    content/lessons/ru/veth.mdx:9: drifted from content/lessons/en/veth.mdx:9: here <Run command="ip a" expect="lo", there <Run command="ip link" expect="lo"
    content/lessons/ru/veth.mdx:11: not translated: “This paragraph was left as it was when somebody translated t”
    "
  `);
});

test("reads texts as a page does, escapes too, and runs nothing of them", () => {
  write(
    "lessons/en/veth.mdx",
    page(`<Run command={\`echo "\\\`date\\\`" \\\\n\`} exit={0} />\n\n${checks}`),
  );
  const { elements } = readLesson(join(root, "content/lessons/en/veth.mdx"), "en", root);
  expect(elements[0]?.attributes).toEqual({ command: 'echo "`date`" \\n', exit: 0 });
});

test("tells of files that can't be read, with their line", () => {
  both("Text.", "title: [\n");
  write("lessons/en/drivers.mdx", page('## One\n\n<Run command={process.exit()} expect="x" />'));
  write("lessons/en/overlay.mdx", page("Text\n\n<Run command="));
  write("glossary.yaml", "veth: { en: { term: veth, text: A. } }\n");
  write("quizzes/veth.yaml", "- { id: Ends }\n");
  expect(told()).toMatchInlineSnapshot(`
    "
    content/glossary.yaml:1: is wrong:
    ✖ Invalid input: expected object, received undefined
      → at veth.ru
    content/lessons/en/drivers.mdx:9: command={process.exit()} is no literal: write a text, a number, true or false
    content/lessons/en/overlay.mdx:9: 9:1: Unexpected character after \`<\`, expected a valid JSX tag (note: to create a link in MDX, use \`[text](url)\`) (mdx-jsx:unexpected-character)
    content/lessons/en/veth.mdx:1: the front matter is no YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 2, column 1:
    content/lessons/ru/veth.mdx:1: the front matter is no YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 2, column 1:
    content/quizzes/veth.yaml:1: is wrong:
    ✖ Invalid discriminator value. Expected 'one' | 'many' | 'order' | 'match' | 'text'
      → at [0].kind
    "
  `);
});

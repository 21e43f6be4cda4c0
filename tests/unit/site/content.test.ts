/** What the build says of pages, questions and terms that are not as they should be; and the plan of the course. */
import { expect, test } from "vitest";
import { exercises } from "../../../graders/index.ts";
import { topologies } from "../../../sandbox/topologies/index.ts";
import { frontMatterProblem } from "../../../src/build/front-matter.ts";
import { inlineMarkdown, plainText } from "../../../src/components/inline-markdown.ts";
import { exerciseOf, lessons } from "../../../src/course/course.ts";
import { parseGlossary } from "../../../src/course/glossary.ts";
import { parseQuizzes } from "../../../src/course/quizzes.ts";
import { shuffled } from "../../../src/course/shuffle.ts";

const labs = ["bridge", "iptables"];

test("front matter without a mistake has no problem", () => {
  const page = { title: "Bridges", description: "What a bridge is.", lab: "bridge" };
  expect(frontMatterProblem(page, labs)).toBeUndefined();
  expect(frontMatterProblem({ ...page, lab: undefined, pagefind: false }, labs)).toBeUndefined();
});

test("front matter with mistakes is shown as it should read", () => {
  const page = { titel: "Bridges: a switch", lab: "brigde", pagefind: false, colour: "red" };
  expect(frontMatterProblem(page, labs)).toMatchInlineSnapshot(`
    ""titel" is called "title".
    "colour" is unknown: leave it out. A page has title, description, lab, hero, template, pagefind, tableOfContents, head, prev, next, sidebar, banner, draft, editUrl, lastUpdated, slug.
    Give the page a description: a sentence for the course map and for search.
    There is no lab "brigde". There are: bridge, iptables.
    It should read like this:

    ---
    title: "Bridges: a switch"
    description: What one learns here, in a sentence.
    lab: bridge
    pagefind: false
    ---"
  `);
  expect(frontMatterProblem(null, labs)).toContain("Give the page a title.");
  expect(frontMatterProblem({ title: "a", description: "b".repeat(251) }, labs)).toContain(
    "The description has 251 characters: say it in 250.",
  );
});

test("questions with mistakes name each one and its place", () => {
  const text = `
- id: arp
  kind: one
  question: { en: Who answers?, ru: Кто ответит? }
  options:
    - text: { en: All, ru: Все }
    - text: { en: Nobody }
  explanation: { en: The owner., ru: Владелец. }
- id: Arp
  kind: text
  question: { en: Which?, ru: Какой? }
  accept: ["(veth"]
  explanation: { en: a, ru: b }
`;
  expect(() =>
    parseQuizzes("content/quizzes/bridge.yaml", text),
  ).toThrowErrorMatchingInlineSnapshot(`
    [Error: content/quizzes/bridge.yaml is wrong:
    ✖ use a-z, 0-9 and -, starting with a letter
      → at [1].id
    ✖ is no regular expression
      → at [1].accept[0]
    ✖ Invalid input: expected string, received undefined
      → at [0].options[1].text.ru]
  `);
  const twice = text
    .slice(0, text.indexOf("- id: Arp"))
    .replace("Nobody }", "Nobody, ru: Никто }\n      right: true");
  expect(() => parseQuizzes("bridge.yaml", twice + twice)).toThrow(
    'bridge.yaml has two questions "arp": give each its own id.',
  );
  expect(parseQuizzes("bridge.yaml", twice)).toHaveLength(1);
  expect(parseQuizzes("bridge.yaml", "")).toEqual([]);
  expect(() => parseQuizzes("bridge.yaml", "- id: [")).toThrow(
    /^bridge\.yaml is no YAML: .*at line 1/s,
  );
});

test("a glossary that is out of order or lacks a language says so", () => {
  const entry = "{ term: a, text: b }";
  const good = `arp: { en: ${entry}, ru: ${entry} }`;
  expect(() => parseGlossary("g.yaml", `veth: { en: ${entry}, ru: ${entry} }\n${good}`)).toThrow(
    'g.yaml: "arp" is not in its place; keys stand in alphabetical order.',
  );
  expect(() => parseGlossary("g.yaml", `arp: { en: ${entry} }`)).toThrow(/arp\.ru/);
  expect(Object.keys(parseGlossary("g.yaml", good))).toEqual(["arp"]);
});

test("the plan of the course has every exercise of the graders, in its lesson and in order", () => {
  const planned = lessons.flatMap(({ id, exercises: own }) =>
    own.map((each) => `${id}: ${each.id}`),
  );
  const graded = exercises.map(({ lesson, id }) => `${lesson}: ${id}`);
  expect(planned.filter((each) => graded.includes(each))).toEqual(graded);
  for (const { id, title } of exercises) expect(exerciseOf(id).title).toEqual(title);
  expect(Object.keys(topologies)).toEqual(lessons.map(({ id }) => id));
  expect(() => exerciseOf("bridge/by-hnad")).toThrow('Did you mean "bridge/by-hand"?');
});

test("inline Markdown is code, emphasis and nothing else", () => {
  expect(inlineMarkdown('`a*b*<c>` *em* **strong** 2*3*4 <i>"x"</i>')).toBe(
    "<code>a*b*&lt;c&gt;</code> <em>em</em> <strong>strong</strong> 2<em>3</em>4 &lt;i&gt;&quot;x&quot;&lt;/i&gt;",
  );
  expect(plainText("`a*b*` *em* **strong**")).toBe("a*b* em strong");
});

test("a list is shuffled the same way each time, and never left as it was", () => {
  for (const length of [2, 3, 4, 5, 8]) {
    const list = Array.from({ length }, (_, index) => index);
    for (const name of [
      "bridge/arp",
      "veth/order",
      "iptables/way",
      "overlay/vxlan",
      "compose/up",
    ]) {
      const mixed = shuffled(name, list);
      expect(mixed).toEqual(shuffled(name, list));
      expect(mixed).not.toEqual(list);
      expect([...mixed].sort((a, b) => a - b)).toEqual(list);
    }
  }
});

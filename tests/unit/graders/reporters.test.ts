import { expect, test } from "vitest";
import type { ExerciseResult } from "../../../graders/core/results.ts";
import { csvOf } from "../../../graders/reporters/csv.ts";
import { reporters } from "../../../graders/reporters/index.ts";

const result: ExerciseResult = {
  exercise: "lesson/example",
  status: "errored",
  durationMs: 1234,
  checks: [
    { id: "a", title: "A holds", status: "passed" },
    {
      id: "b",
      title: 'B is <b> & "c" #1',
      status: "failed",
      expected: "x > y",
      actual: "]]>\u0007",
      hint: "look here",
    },
    { id: "c", title: "C", status: "skipped", because: "no ipvlan # here" },
    { id: "d", title: "D", status: "errored", error: "the engine hung" },
  ],
};
const options = { color: false, titles: { "lesson/example": "An example" } };

test("pretty shows expected, actual and hint under what failed, and whose fault it was", () => {
  const text = reporters.pretty([result], options);
  expect(text).toContain("lesson/example  An example");
  expect(text).toMatch(/✔ A holds\n {2}✖ B is/);
  expect(text).toMatch(/ {4}expected {2}x > y\n {4}actual {4}/);
  expect(text).toContain("    hint      look here");
  expect(text).toContain("    because   no ipvlan # here");
  expect(text).toContain("errored: 1 of 4 checks passed, 1.2 s");
  expect(text).toContain("not the student's mistake");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: looks for escape sequences
  expect(text).not.toMatch(/\u001b\[/);
  expect(reporters.pretty([result], { ...options, color: true })).toContain("\u001b[");
});

test("pretty keeps to the width of a terminal", () => {
  const long = {
    ...result,
    checks: [
      {
        id: "x",
        title: "X",
        status: "failed" as const,
        expected: "word ".repeat(60).trim(),
        actual: "y",
      },
    ],
  };
  const lines = reporters.pretty([long], options).split("\n");
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(96);
});

test("json is the results themselves", () => {
  expect(JSON.parse(reporters.json([result], options))).toEqual([result]);
});

test("junit escapes everything, and counts", () => {
  const xml = reporters.junit([result], options);
  expect(xml).toContain(
    '<testsuite name="lesson/example" tests="4" failures="1" errors="1" skipped="1" time="1.234">',
  );
  expect(xml).toContain('name="B is &lt;b&gt; &amp; &quot;c&quot; #1"');
  expect(xml).toContain('<failure message="]]&gt;\ufffd">expected: x &gt; y');
  expect(xml).toContain('<skipped message="no ipvlan # here"/>');
  expect(xml).toContain('<error message="the engine hung"/>');
});

test("tap numbers its points, and no text of ours becomes a directive", () => {
  const lines = reporters.tap([result, result], options).split("\n");
  expect(lines.slice(0, 3)).toEqual(["TAP version 14", "1..8", "ok 1 - lesson/example: A holds"]);
  expect(lines[3]).toBe('not ok 2 - lesson/example: B is <b> & "c" \\#1');
  expect(lines).toContain('  actual: "]]>\\u0007"');
  expect(lines).toContain("ok 3 - lesson/example: C # SKIP no ipvlan \\# here");
  expect(lines).toContain("not ok 8 - lesson/example: D");
});

test("csv quotes what RFC 4180 says, and no cell is a formula to a spreadsheet", () => {
  const rows = [
    ["lab", "a,b", 'say "x"', "two\nlines"],
    ["=1+1", "+1", "-1", "@sum", "\t=1", "x=1", ""],
  ];
  expect(csvOf(rows)).toBe(
    'lab,"a,b","say ""x""","two\nlines"\r\n\'=1+1,\'+1,\'-1,\'@sum,\'\t=1,x=1,\r\n',
  );
  expect(csvOf([['=HYPERLINK("http://x","y")']])).toBe('"\'=HYPERLINK(""http://x"",""y"")"\r\n');
});

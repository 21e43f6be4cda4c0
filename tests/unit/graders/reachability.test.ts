import { expect, test } from "vitest";
import { allWays, judgeWays, type Target } from "../../../graders/checks/reachability.ts";
import { inLanguage, type Text } from "../../../graders/core/text.ts";

const place = (label: string): Target => ({
  label,
  at: { kind: "named", name: label },
  address: "10.0.0.1",
});
const [red, green, blue] = [place("red"), place("green"), place("blue")];
const english = (text: Text) => inLanguage(text, "en");
const seen = "0 of 3 echo requests arrived, 0 were answered";

test("ways that are as they should be pass with the grid", () => {
  const tried = allWays([red, green, blue]).map((way) => ({ ...way, reached: true, seen }));
  expect(judgeWays(tried)).toMatchObject({ status: "passed" });
});

test("a failure prints the grid as it should be and as it is, and what was seen on the way", () => {
  const tried = allWays([red, green, blue]).map((way) => ({
    ...way,
    reached: way.to !== blue,
    seen,
  }));
  const result = judgeWays(tried, "Look at blue.");
  if (result.status !== "failed") throw new Error("It passed.");
  expect(english(result.expected)).toMatchInlineSnapshot(`
    "from \\ to  red  green  blue
    red        ·    ✔      ✔
    green      ✔    ·      ✔
    blue       ✔    ✔      ·"
  `);
  expect(english(result.actual)).toMatchInlineSnapshot(`
    "from \\ to  red  green  blue
    red        ·    ✔      ✖
    green      ✔    ·      ✖
    blue       ✔    ✔      ·
    red to blue (ping): 0 of 3 echo requests arrived, 0 were answered
    green to blue (ping): 0 of 3 echo requests arrived, 0 were answered"
  `);
  expect(result.hint).toBe("Look at blue.");
});

test("several protocols have a column each, and what should not reach fails where it does", () => {
  const tried = [
    { from: red, to: blue, over: "ping", reaches: true, reached: true, seen: "" },
    {
      from: red,
      to: blue,
      over: "tcp/80",
      reaches: false,
      reached: true,
      seen: "what was sent arrived",
    },
    { from: green, to: blue, over: "tcp/80", reaches: true, reached: true, seen: "" },
  ] as const;
  const result = judgeWays(tried);
  if (result.status !== "failed") throw new Error("It passed.");
  expect(`${english(result.expected)}\n\n${english(result.actual)}`).toMatchInlineSnapshot(`
    "from \\ to  blue ping  blue tcp/80
    red        ✔          ✖
    green      ·          ✔

    from \\ to  blue ping  blue tcp/80
    red        ✔          ✔
    green      ·          ✔
    red to blue (tcp/80): what was sent arrived"
  `);
});

test("of very many wrong ways the first are told, and how many more there are", () => {
  const places = Array.from({ length: 5 }, (_, index) => place(`n${index}`));
  const tried = allWays(places).map((way) => ({ ...way, reached: false, seen }));
  const result = judgeWays(tried);
  expect(result).toMatchObject({
    actual: {
      en: expect.stringMatching(/\nand 14 more$/),
      ru: expect.stringMatching(/^от \\ до.*\nот n0 до n1 \(ping\): .*\nи ещё 14$/s),
    },
  });
});

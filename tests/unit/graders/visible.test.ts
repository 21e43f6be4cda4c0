import { expect, test } from "vitest";
import { fail, pass } from "../../../graders/core/exercise.ts";
import { visible } from "../../../graders/core/visible.ts";
import { jsonText } from "../../../sandbox/cli/json.ts";

const evil = "a\u001b]0;x\u0007 b\u009b31m c\u202etxt.exe d\u0000 e\ud800 \u200bf\rg";

test("what can't be seen stands there by its number, and line breaks and other scripts stay", () => {
  expect(visible(evil)).toBe(
    String.raw`a\u001b]0;x\u0007 b\u009b31m c\u202etxt.exe d\u0000 e\ud800 \u200bf\u000dg`,
  );
  const plain = "Сеть «b0» 😀\n✔ …→ <b>&\"'";
  expect(visible(plain)).toBe(plain);
});

test("a text without end is cut, and says so", () => {
  expect(visible("x".repeat(5000))).toBe(`${"x".repeat(4000)}… (1000 characters more)`);
});

test("every outcome of a check is visible", () => {
  expect(fail(evil, evil, evil)).toEqual({
    status: "failed",
    expected: visible(evil),
    actual: visible(evil),
    hint: visible(evil),
  });
  expect(pass(evil, evil)).toEqual({ status: "passed", value: evil, actual: visible(evil) });
});

test("a text in both languages is visible in both, and each says in its own how much was cut", () => {
  const { expected } = fail({ en: evil, ru: `Сеть ${evil}` }, "", "");
  expect(expected).toEqual({ en: visible(evil), ru: `Сеть ${visible(evil)}` });
  expect(visible({ en: "x", ru: "я".repeat(4021) })).toEqual({
    en: "x",
    ru: `${"я".repeat(4000)}… (ещё 21 символ)`,
  });
});

test("JSON on standard output moves no terminal, and is the same value", () => {
  const printed = jsonText({ [evil]: evil });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: looks for what a terminal acts on
  expect(printed.replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  expect(JSON.parse(printed)).toEqual({ [evil]: evil });
});

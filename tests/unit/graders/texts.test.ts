/** What graders say, in both languages; and that the course's own exercises say all of it in both. */
import { globSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";
import { check, type Exercise, fail, pass } from "../../../graders/core/exercise.ts";
import { faultText, NoVerdict } from "../../../graders/core/fault.ts";
import { type ExerciseResult, resultIn } from "../../../graders/core/results.ts";
import { gradeExercise } from "../../../graders/core/runner.ts";
import { counted, en, joined, ru, type Text, words } from "../../../graders/core/text.ts";
import { list } from "../../../graders/facts/model.ts";
import { exercises } from "../../../graders/index.ts";
import { reporters } from "../../../graders/reporters/index.ts";
import { type Lab, SandboxError } from "../../../sandbox/index.ts";

const exercise: Exercise = {
  id: "lesson/example",
  title: { en: "An example", ru: "Пример" },
  lesson: "lesson",
  lab: "lab",
  requires: [],
  checks: [
    check({ id: "foreign", title: "Says English alone", run: () => pass() }),
    check({
      id: "bridge",
      title: { en: "There is a bridge", ru: "Есть мост" },
      run: () =>
        fail(
          "lab0",
          { en: en`bridges: ${list([])}`, ru: ru`мосты: ${list([])}` },
          { en: "Make one.", ru: "Создайте его." },
        ),
    }),
    check({
      id: "slow",
      title: { en: "It answers", ru: "Он отвечает" },
      timeoutMs: 30,
      run: () => new Promise<never>(() => undefined),
    }),
  ],
  solutions: [],
  wrongAnswers: [],
};
const graded = gradeExercise(
  {
    ...exercise,
    checks: [
      ...exercise.checks,
      check({
        id: "next",
        title: { en: "It forwards", ru: "Он пересылает" },
        needs: { bridge: exercise.checks[1] as (typeof exercise.checks)[number] },
        run: () => pass(),
      }),
    ],
  },
  {} as Lab,
).then((result) => ({ ...result, durationMs: 3 }));

const english = [
  {
    exercise: "lesson/example",
    status: "errored",
    durationMs: 3,
    checks: [
      { id: "foreign", title: "Says English alone", status: "passed" },
      {
        id: "bridge",
        title: "There is a bridge",
        status: "failed",
        expected: "lab0",
        actual: "bridges: none",
        hint: "Make one.",
      },
      { id: "slow", title: "It answers", status: "errored", error: "no result within 0.03 s" },
      {
        id: "next",
        title: "It forwards",
        status: "skipped",
        because: "“There is a bridge” did not pass",
      },
    ],
  },
];

test("JSON has English strings in the order of the contract unless another language is asked for", async () => {
  const json = reporters.json([await graded], { color: false, titles: {} });
  expect(json).toBe(`${JSON.stringify(english, null, 2)}\n`);
});

test("in Russian all of a result is Russian, and what has one language alone stays as it is", async () => {
  const options = { color: false, titles: { "lesson/example": "Пример" }, language: "ru" } as const;
  const [result] = JSON.parse(reporters.json([await graded], options));
  expect(result.checks).toEqual([
    { id: "foreign", title: "Says English alone", status: "passed" },
    {
      id: "bridge",
      title: "Есть мост",
      status: "failed",
      expected: "lab0",
      actual: "мосты: нет",
      hint: "Создайте его.",
    },
    { id: "slow", title: "Он отвечает", status: "errored", error: "результата нет и через 0,03 с" },
    {
      id: "next",
      title: "Он пересылает",
      status: "skipped",
      because: "не пройдена проверка «Есть мост»",
    },
  ]);
  expect(reporters.pretty([await graded], options)).toMatchInlineSnapshot(`
    "lesson/example  Пример

      ✔ Says English alone
      ✖ Есть мост
        ожидалось lab0
        на деле   мосты: нет
        подсказка Создайте его.
      ! Он отвечает
        ошибка    результата нет и через 0,03 с
      – Он пересылает
        причина   не пройдена проверка «Есть мост»

      нет вердикта: пройдено проверок 1 из 4, 0,0 с
      Вердикта нет: сломалась лаборатория или сама проверка. Студент тут ни при чём.
    "
  `);
});

test("a result that was stored with English strings is shown in every language", () => {
  const stored = english[0] as ExerciseResult;
  expect(resultIn(stored, "ru")).toEqual(stored);
  expect(resultIn(stored, "en")).toEqual(stored);
});

test("texts are put together in each language, numbers with the noun's right form", () => {
  const nothing = list([]);
  expect(words`web: ${nothing}`).toEqual({ en: "web: none", ru: "web: нет" });
  expect(words`web: ${list(["a", "b"])}`).toBe("web: a, b");
  expect(joined(["a", nothing], "; ")).toEqual({ en: "a; none", ru: "a; нет" });
  expect(list(Array.from({ length: 22 }, (_, index) => `n${index}`))).toMatchObject({
    en: expect.stringMatching(/, n19 and 2 more$/),
    ru: expect.stringMatching(/, n19 и ещё 2$/),
  });
  // As an exercise in English alone has it.
  expect(`web: ${nothing}`).toBe("web: none");
  const workers = (n: number) => counted(n, "воркер", "воркера", "воркеров");
  expect([1, 3, 5, 11, 21].map(workers)).toEqual([
    "1 воркер",
    "3 воркера",
    "5 воркеров",
    "11 воркеров",
    "21 воркер",
  ]);
});

test("what broke is told in both languages, with the details that there are", () => {
  expect(faultText(new SandboxError("inner-engine-timeout", "no answer"))).toEqual({
    en: "no answer (inner-engine-timeout)",
    ru: "Docker в лаборатории не отвечает (inner-engine-timeout): no answer",
  });
  expect(faultText(new NoVerdict({ en: "Busy.", ru: "Занято." }))).toEqual({
    en: "Error: Busy.",
    ru: "Занято.",
  });
  expect(faultText(new TypeError("oops\u0007"))).toBe("TypeError: oops\\u0007");
});

const bilingual = (text: Text): boolean =>
  typeof text !== "string" && /[a-z]/i.test(text.en) && /[а-яё]/i.test(text.ru);

test("every exercise of the course has its title, its checks' titles and what they disturb in both languages", () => {
  const lacking = exercises.flatMap(({ id, title, checks }) => [
    ...(bilingual(title) ? [] : [id]),
    ...checks
      .filter((each) => !bilingual(each.title) || !bilingual(each.disruption ?? each.title))
      .map((each) => `${id}, ${each.id}`),
  ]);
  expect(lacking).toEqual([]);
});

const root = fileURLToPath(new URL("../../../", import.meta.url));
/** Two words of English, and no command. */
const prose = /^(?!docker |ip |--).*[a-z]{2,} [a-z]{2,}/is;

/** What stands in a string or a template of the source, without what is put into it. */
function literalText(node: ts.Node | undefined): string {
  if (node === undefined) return "";
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return "";
  return [node.head, ...node.templateSpans.map(({ literal }) => literal)]
    .map(({ text }) => text)
    .join("…");
}

/** Where a source says something in English alone, or puts a text into a template that has no language. */
function faultsOf(source: ts.SourceFile, checker: ts.TypeChecker): string[] {
  const faults: string[] = [];
  const report = (node: ts.Node, what: string) => {
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    faults.push(`${source.fileName.replace(root, "")}:${line} ${what}: ${node.getText()}`);
  };
  const isText = (type: ts.Type | undefined): boolean =>
    (type?.isUnion() ? type.types : [type]).some((each) =>
      ["en", "ru"].every((language) => each?.getProperty(language) !== undefined),
    );
  /** A string, or what a constant is set to. */
  const written = (node: ts.Node): ts.Node | undefined => {
    if (!ts.isIdentifier(node)) return node;
    const declaration = checker.getSymbolAtLocation(node)?.valueDeclaration;
    return declaration && ts.isVariableDeclaration(declaration)
      ? declaration.initializer
      : undefined;
  };
  const visit = (node: ts.Node): void => {
    if (ts.isTemplateExpression(node) && !ts.isTaggedTemplateExpression(node.parent)) {
      for (const { expression } of node.templateSpans) {
        if (isText(checker.getTypeAtLocation(expression)))
          report(expression, "in a plain template");
      }
    }
    if (ts.isExpression(node) && !ts.isTemplateSpan(node.parent)) {
      const english = prose.test(literalText(written(node)));
      if (english && isText(checker.getContextualType(node))) report(node, "in English alone");
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return faults;
}

test("nothing that the course's graders say is in one language alone, and no text loses its language", () => {
  const files = globSync("graders/{checks,core,exercises,facts}/**/*.ts", { cwd: root });
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram(
    files.map((file) => `${root}${file}`),
    options,
  );
  const checker = program.getTypeChecker();
  const faults = files.flatMap((file) => {
    const source = program.getSourceFile(`${root}${file}`);
    return source === undefined ? [file] : faultsOf(source, checker);
  });
  expect(faults).toEqual([]);
}, 120_000);

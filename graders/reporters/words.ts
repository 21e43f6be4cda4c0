/** The words that commands put around what graders say. */
import type { CheckStatus } from "../core/results.ts";
import { counted, type Language } from "../core/text.ts";

export interface CommandWords {
  readonly lab: string;
  readonly statuses: Readonly<Record<CheckStatus, string>>;
  /** Heads of what is told of a check. */
  readonly fields: Readonly<Record<"expected" | "actual" | "hint" | "because" | "error", string>>;
  passed(count: number, total: number): string;
  seconds(ms: number): string;
  readonly noVerdict: string;
  watching(lab: string): string;
  moreExercises(count: number): string;
  moreLines(count: number): string;
}

export const commandWords: Readonly<Record<Language, CommandWords>> = {
  en: {
    lab: "lab",
    statuses: { passed: "passed", failed: "failed", skipped: "skipped", errored: "errored" },
    fields: {
      expected: "expected",
      actual: "actual",
      hint: "hint",
      because: "because",
      error: "error",
    },
    passed: (count, total) => `${count} of ${total} checks passed`,
    seconds: (ms) => `${(ms / 1000).toFixed(1)} s`,
    noVerdict: "No verdict: the lab or the grader broke. That is not the student's mistake.",
    watching: (lab) => `Watching lab ${lab}. Ctrl-C ends.`,
    moreExercises: (count) => `${count} more to look at …`,
    moreLines: (count) => `… ${count} more lines: make the window taller`,
  },
  ru: {
    lab: "лаборатория",
    statuses: {
      passed: "верно",
      failed: "пока нет",
      skipped: "пропущено",
      errored: "нет вердикта",
    },
    fields: {
      expected: "ожидалось",
      actual: "на деле",
      hint: "подсказка",
      because: "причина",
      error: "ошибка",
    },
    passed: (count, total) => `пройдено проверок ${count} из ${total}`,
    seconds: (ms) => `${(ms / 1000).toFixed(1).replace(".", ",")} с`,
    noVerdict: "Вердикта нет: сломалась лаборатория или сама проверка. Студент тут ни при чём.",
    watching: (lab) => `Следим за лабораторией ${lab}. Ctrl-C — выйти.`,
    moreExercises: (count) =>
      `ещё не проверено: ${counted(count, "задание", "задания", "заданий")} …`,
    moreLines: (count) =>
      `… ещё ${counted(count, "строка", "строки", "строк")}: сделайте окно выше`,
  },
};

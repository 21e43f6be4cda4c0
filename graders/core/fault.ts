/** What is told where a check ends without a verdict. */
import { SandboxError, type SandboxErrorCode } from "../../sandbox/index.ts";
import { en, inLanguage, type Text } from "./text.ts";
import { visible } from "./visible.ts";

/** Thrown by a check that can't judge the lab as it is at the moment; says why, and what to do. */
export class NoVerdict extends Error {
  readonly text: Text;

  constructor(text: Text) {
    super(inLanguage(text, "en"));
    this.text = text;
  }
}

/** What the sandbox's codes mean to a student; its messages, which have the details, are English. */
const meanings: Partial<Record<SandboxErrorCode, string>> = {
  "engine-unreachable": "Движок, на котором работают лаборатории, не отвечает",
  "lab-not-found": "Этой лаборатории больше нет",
  "host-not-found": "В лаборатории нет такого хоста",
  "lab-broken": "Лаборатория работает не так, как должна",
  "inner-engine-unreachable": "К Docker в лаборатории не подключиться",
  "inner-engine-timeout": "Docker в лаборатории не отвечает",
  "probe-timeout": "Проба не уложилась в отведённое время",
  "probe-failed": "Проба не удалась",
};

function told(error: unknown): Text {
  if (error instanceof NoVerdict) {
    return { en: en`${error.name}: ${error.text}`, ru: inLanguage(error.text, "ru") };
  }
  if (error instanceof SandboxError) {
    const { code, message } = error;
    const english = `${message} (${code})`;
    const meaning = meanings[code];
    return meaning === undefined
      ? english
      : { en: english, ru: `${meaning} (${code}): ${message}` };
  }
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** An error as the result of a check tells it. */
export const faultText = (error: unknown): Text => visible(told(error));

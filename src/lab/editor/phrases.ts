import type { Language } from "../../i18n/language.ts";

/** CodeMirror's own words; it speaks English by itself. */
export const phrases: Readonly<Record<Language, Readonly<Record<string, string>>>> = {
  en: {},
  ru: {
    Find: "Найти",
    Replace: "Заменить на",
    next: "дальше",
    previous: "назад",
    all: "все",
    "match case": "регистр",
    regexp: "рег. выражение",
    "by word": "слово целиком",
    replace: "заменить",
    "replace all": "заменить все",
    close: "закрыть",
    "current match": "текущее совпадение",
    "on line": "в строке",
    "replaced match on line $": "заменено в строке $",
    "replaced $ matches": "заменено: $",
    "Go to line": "Перейти к строке",
    go: "перейти",
    "Control character": "Управляющий символ",
    "Selection deleted": "Выделенное удалено",
    Diagnostics: "Замечания",
    "No diagnostics": "Замечаний нет",
    "$ unchanged lines": "$ неизменённых строк",
  },
};

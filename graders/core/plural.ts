/** A text for each plural form that its language has; `{n}` stands for the number. */
export interface Plural {
  readonly one: string;
  readonly few?: string;
  readonly many?: string;
  readonly other: string;
}

/** The text for a number: `plural("ru", minutes, 3)`. */
export function plural(language: string, texts: Plural, n: number): string {
  const form = new Intl.PluralRules(language).select(n) as keyof Plural;
  return (texts[form] ?? texts.other).replace("{n}", String(n));
}

/** Puts values into their places: `fill("{a} of {b}", { a: 1, b: 2 })` is `1 of 2`. */
export const fill = (text: string, values: Readonly<Record<string, string | number>>): string =>
  text.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place));

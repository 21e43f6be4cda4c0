import { closest } from "fastest-levenshtein";

/** `There is no lab "x". Did you mean "y"? There are: y, z.` — for a name that is not among those known. */
export function didYouMean(kind: string, name: string, known: readonly string[]): string {
  if (known.length === 0) return `There is no ${kind} "${name}", nor any other.`;
  return `There is no ${kind} "${name}". Did you mean "${closest(name, [...known])}"? There are: ${known.join(", ")}.`;
}

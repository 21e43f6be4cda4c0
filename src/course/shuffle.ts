/**
 * The same list in another order, which is the same for the same name: pages are built once. A list of two or more is
 * never left as it was.
 */
export function shuffled<T>(name: string, list: readonly T[]): readonly T[] {
  // FNV-1a, then a linear congruential generator (constants: Numerical Recipes).
  let state = 2166136261;
  for (const sign of name) state = Math.imul(state ^ (sign.codePointAt(0) ?? 0), 16777619) >>> 0;
  const random = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const mixed = [...list];
  for (let last = mixed.length - 1; last > 0; last -= 1) {
    const other = random(last + 1);
    [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T];
  }
  const isAsBefore = mixed.every((item, index) => item === list[index]);
  return isAsBefore ? [...mixed.slice(1), ...mixed.slice(0, 1)] : mixed;
}

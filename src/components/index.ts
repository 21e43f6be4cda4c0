/** What lessons are made of. */
export { default as Answer } from "./Answer.astro";
export { default as Check } from "./Check.astro";
export { default as Hint } from "./Hint.astro";
export { default as Hints } from "./Hints.astro";
export { default as Output } from "./Output.astro";
export { default as PortLink } from "./PortLink.astro";
export { default as Quiz } from "./Quiz.astro";
export { default as Run } from "./Run.astro";
export { default as Since } from "./Since.astro";
export { default as Solution } from "./Solution.astro";
export { default as Term } from "./Term.astro";

/**
 * What exercise modules import, those outside of this package as `patchbay/graders`: definitions, results, and what
 * exercises share. CONTRIBUTING.md shows how they go together.
 */
export type * from "../sandbox/index.ts";
export * from "./checks/compose-project.ts";
export * from "./checks/containers.ts";
export * from "./checks/fresh-container.ts";
export * from "./checks/published-port.ts";
export * from "./checks/reachability.ts";
export * from "./core/exercise.ts";
export * from "./core/fault.ts";
export * from "./core/text.ts";
export * from "./facts/inner-engine.ts";
export * from "./facts/model.ts";

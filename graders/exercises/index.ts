import type { Exercise } from "../core/exercise.ts";
import { interNetworkPing } from "./homework/inter-network-ping/index.ts";

/** In the order of the course. */
export const exercises: readonly Exercise[] = [interNetworkPing];

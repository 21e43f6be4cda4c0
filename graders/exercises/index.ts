import type { Exercise } from "../core/exercise.ts";
import { bridgeByHand } from "./bridge/by-hand.ts";
import { interNetworkPing } from "./homework/inter-network-ping/index.ts";
import { createNetns } from "./namespaces/create-netns.ts";
import { exposeContainerNetns } from "./namespaces/expose-container-netns.ts";
import { connectTwoNamespaces } from "./veth/connect-two-namespaces.ts";
import { findHostPeer } from "./veth/find-host-peer.ts";

/** Every exercise of the course, in the order of its lessons. */
export const exercises: readonly Exercise[] = [
  createNetns,
  exposeContainerNetns,
  connectTwoNamespaces,
  findHostPeer,
  bridgeByHand,
  interNetworkPing,
];

import type { Exercise } from "../core/exercise.ts";
import { bridgeByHand } from "./bridge/by-hand.ts";
import { customOptions } from "./bridge/custom-options.ts";
import { userDefinedDns } from "./bridge/user-defined-dns.ts";
import { buildArgs } from "./compose/build-args.ts";
import { fromRunCommands } from "./compose/from-run-commands.ts";
import { healthcheck } from "./compose/healthcheck.ts";
import { networksAndIpam } from "./compose/networks-and-ipam.ts";
import { overrideMerge } from "./compose/override-merge.ts";
import { hostAndNone } from "./drivers/host-and-none.ts";
import { ipvlanL2 } from "./drivers/ipvlan-l2.ts";
import { macvlanUnderlay } from "./drivers/macvlan-underlay.ts";
import { interNetworkPing } from "./homework/inter-network-ping/index.ts";
import { netboxRqworker } from "./homework/netbox-rqworker/index.ts";
import { blockOneClient } from "./iptables/block-one-client.ts";
import { publishPorts } from "./iptables/publish-ports.ts";
import { createNetns } from "./namespaces/create-netns.ts";
import { exposeContainerNetns } from "./namespaces/expose-container-netns.ts";
import { swarmAttachable } from "./overlay/swarm-attachable.ts";
import { vxlanByHand } from "./overlay/vxlan-by-hand.ts";
import { connectTwoNamespaces } from "./veth/connect-two-namespaces.ts";
import { findHostPeer } from "./veth/find-host-peer.ts";

/** Every exercise of the course, in the order of its lessons. */
export const exercises: readonly Exercise[] = [
  createNetns,
  exposeContainerNetns,
  connectTwoNamespaces,
  findHostPeer,
  bridgeByHand,
  userDefinedDns,
  customOptions,
  hostAndNone,
  macvlanUnderlay,
  ipvlanL2,
  publishPorts,
  blockOneClient,
  interNetworkPing,
  vxlanByHand,
  swarmAttachable,
  fromRunCommands,
  networksAndIpam,
  overrideMerge,
  buildArgs,
  healthcheck,
  netboxRqworker,
];

import type { Exercise } from "../../../core/exercise.ts";
import {
  firstInOneNetwork,
  firstRuns,
  freshContainerReachesFirst,
  networksExist,
  secondInOneNetwork,
  twoBridges,
} from "./checks.ts";
import { solutions } from "./solutions.ts";
import { wrongAnswers } from "./wrong-answers.ts";

export const interNetworkPing: Exercise = {
  id: "homework/inter-network-ping",
  title: {
    en: "Connectivity between containers in two different networks",
    ru: "Связность контейнеров из двух разных сетей",
  },
  lesson: "iptables",
  lab: "iptables",
  requires: [],
  checks: [
    networksExist,
    twoBridges,
    firstRuns,
    firstInOneNetwork,
    secondInOneNetwork,
    freshContainerReachesFirst,
  ],
  solutions,
  wrongAnswers,
};

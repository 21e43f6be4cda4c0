import type { Exercise } from "../../../core/exercise.ts";
import { fiveToTen, jobsSideBySide, queueFound, stackRuns } from "./checks.ts";
import { between, solutions } from "./solutions.ts";
import { wrongAnswers } from "./wrong-answers.ts";

export const netboxRqworker: Exercise = {
  id: "homework/netbox-rqworker",
  title: {
    en: "Five to ten workers run NetBox's scripts side by side",
    ru: "От пяти до десяти воркеров: скрипты NetBox выполняются одновременно",
  },
  lesson: "netbox",
  lab: "netbox",
  requires: [],
  checks: [stackRuns, queueFound, fiveToTen, jobsSideBySide],
  solutions,
  wrongAnswers,
  between,
};

import type { Exercise } from "../../../core/exercise.ts";
import { fiveToTen, jobsSideBySide, queueFound, stackRuns } from "./checks.ts";
import { between, solutions } from "./solutions.ts";
import { wrongAnswers } from "./wrong-answers.ts";

export const netboxRqworker: Exercise = {
  id: "homework/netbox-rqworker",
  title: "Five to ten workers run NetBox's scripts side by side",
  lesson: "netbox",
  lab: "netbox",
  requires: [],
  checks: [stackRuns, queueFound, fiveToTen, jobsSideBySide],
  solutions,
  wrongAnswers,
  between,
};

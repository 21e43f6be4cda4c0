import type { IsolationRung } from "../index.ts";

/** What each rung keeps out, in a sentence for an operator. */
export const isolationMeanings: Readonly<Record<IsolationRung, string>> = {
  runtime: "Labs run in a runtime that is made to hold a whole system apart.",
  userns:
    "Root in a lab is an unprivileged user of this machine; a flaw in the kernel could still let it out.",
  rootless:
    "The engine itself runs without root: a lab that breaks out has the rights of your account.",
  privileged:
    "Root in a lab is root of the engine's machine. Only for one person on a machine of their own.",
};

/** The rung that an engine gives, by `SecurityOptions` of its `/info`. */
export function isolationOf(info: {
  readonly SecurityOptions?: readonly string[] | null;
}): IsolationRung {
  const names = (info.SecurityOptions ?? []).map((option) => option.split(",")[0]);
  if (names.includes("name=userns")) return "userns";
  return names.includes("name=rootless") ? "rootless" : "privileged";
}

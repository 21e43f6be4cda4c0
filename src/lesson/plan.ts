/** What the page knows of the course: which lessons there are, and what belongs to each. */
export interface PlannedLesson {
  readonly id: string;
  readonly title: string;
  readonly href: string;
  readonly exercises: readonly string[];
  readonly quizzes: readonly string[];
}

let plan: readonly PlannedLesson[] | undefined;

export function coursePlan(): readonly PlannedLesson[] {
  plan ??= JSON.parse(document.getElementById("pb-plan")?.textContent ?? "[]") as PlannedLesson[];
  return plan;
}

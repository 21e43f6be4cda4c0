/** Plugs in the jacks of the page, and fills its counts, as the student's progress has it. */
import { fill } from "../i18n/fill.ts";
import { coursePlan, type PlannedLesson } from "./plan.ts";
import { type Progress, progress } from "./progress.ts";
import { clientText } from "./words.ts";

export type JackState = "empty" | "begun" | "done";

export function exerciseState(id: string, { exercises }: Progress): JackState {
  const entry = exercises[id];
  if (entry === undefined) return "empty";
  return entry.passedAtMs === undefined ? "begun" : "done";
}

/** Done is what was read and solved; questions are for oneself. */
export function lessonState(lesson: PlannedLesson, done: Progress): JackState {
  const read = done.lessons[lesson.id] !== undefined;
  const states = lesson.exercises.map((id) => exerciseState(id, done));
  if (read && states.every((state) => state === "done")) return "done";
  const answered = lesson.quizzes.some((id) => done.quizzes[id] !== undefined);
  return read || answered || states.some((state) => state !== "empty") ? "begun" : "empty";
}

const each = <E extends HTMLElement>(selector: string, show: (element: E) => void) => {
  for (const element of document.querySelectorAll<E>(selector)) show(element);
};

function show(done: Progress): void {
  const plan = coursePlan();
  const text = clientText();
  each("[data-jack]", (jack) => {
    const { lesson: id, exercise } = jack.dataset;
    const lesson = plan.find((planned) => planned.id === id);
    const state =
      exercise !== undefined
        ? exerciseState(exercise, done)
        : lesson === undefined
          ? "empty"
          : lessonState(lesson, done);
    jack.dataset["state"] = state;
    const word = jack.querySelector(".jack-word");
    const words = exercise === undefined ? text.jack : text.exercise;
    if (word !== null) word.textContent = ` (${words[state]})`;
    jack.closest<HTMLElement>("[data-lesson-row]")?.setAttribute("data-state", state);
  });

  const ids = plan.flatMap(({ exercises }) => exercises);
  const questions = plan.flatMap(({ quizzes }) => quizzes);
  const counts: Readonly<Record<string, number>> = {
    lessons: plan.filter(({ id }) => done.lessons[id] !== undefined).length,
    exercises: ids.filter((id) => exerciseState(id, done) === "done").length,
    quizzes: questions.filter((id) => done.quizzes[id]?.right === true).length,
  };
  each("[data-count]", (place) => {
    place.textContent = String(counts[place.dataset["count"] ?? ""] ?? 0);
  });
  each("[data-progress-count]", (place) => {
    place.hidden = false;
  });
  each("[data-unkept]", (notice) => {
    notice.hidden = progress.kept;
  });

  const begun = plan.some((lesson) => lessonState(lesson, done) !== "empty");
  const next = plan.find((lesson) => lessonState(lesson, done) !== "done");
  each<HTMLAnchorElement>("[data-go-on]", (link) => {
    if (!begun || next === undefined) return;
    link.href = next.href;
    const label = link.querySelector("span");
    if (label !== null) label.textContent = fill(text.map.goOn, { title: next.title });
  });
}

progress.onChange(show);

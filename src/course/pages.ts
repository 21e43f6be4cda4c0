/** The lessons that are written, as lists of them need them. For the build only. */
import { getCollection } from "astro:content";
import type { Language } from "../i18n/language.ts";
import { type CourseExercise, type CourseLesson, lessons } from "./course.ts";
import { quizzesOf } from "./data.ts";

export interface LessonPage extends CourseLesson {
  /** From 1, among those that are written. */
  readonly number: number;
  readonly title: string;
  readonly description: string;
  readonly href: string;
  readonly lab: string | undefined;
  /** Ids of its questions. */
  readonly quizzes: readonly string[];
}

const prefix: Readonly<Record<Language, string>> = { en: "/", ru: "/ru/" };

/** The address of a page of the course in a language; `""` is the first page. */
export const pageAddress = (language: Language, id: string): string =>
  `${prefix[language]}${id === "" ? "" : `${id}/`}`;

/** In order. Where a lesson is not there in a language, its English title stands in. */
export async function lessonPages(language: Language): Promise<readonly LessonPage[]> {
  const entries = new Map((await getCollection("docs")).map((entry) => [entry.id, entry]));
  const pages: LessonPage[] = [];
  for (const lesson of lessons) {
    const english = entries.get(lesson.id);
    if (english === undefined) continue;
    const entry = (language === "ru" ? entries.get(`ru/${lesson.id}`) : undefined) ?? english;
    pages.push({
      ...lesson,
      number: pages.length + 1,
      title: entry.data.title,
      description: entry.data.description ?? "",
      href: pageAddress(language, lesson.id),
      lab: entry.data.lab,
      quizzes: quizzesOf(lesson.id),
    });
  }
  return pages;
}

export const isHomework = ({ id }: CourseExercise): boolean => id.startsWith("homework/");

/** Where an exercise stands on its lesson's page. */
export const exerciseAnchor = (id: string): string => `exercise-${id.replace("/", "-")}`;

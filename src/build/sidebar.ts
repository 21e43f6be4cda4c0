import { existsSync } from "node:fs";
import type { StarlightUserConfig } from "@astrojs/starlight/types";
import { lessons } from "../course/course.ts";

const isWritten = (id: string) =>
  existsSync(new URL(`../../content/lessons/en/${id}.mdx`, import.meta.url));

/** The course's pages in order, as far as they are written; titles are those of the pages. */
export const sidebar = (): NonNullable<StarlightUserConfig["sidebar"]> => [
  { slug: "index" },
  {
    label: "Lessons",
    translations: { ru: "Уроки" },
    items: lessons.filter(({ id }) => isWritten(id)).map(({ id }) => ({ slug: id })),
  },
];

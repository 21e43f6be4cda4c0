import { defineCollection } from "astro:content";
import { docsSchema } from "@astrojs/starlight/schema";
import { glob } from "astro/loaders";
import { z } from "astro/zod";
import { topologies } from "../sandbox/topologies/index.ts";
import { frontMatterProblem } from "./build/front-matter.ts";

const labs = Object.keys(topologies);

export const collections = {
  docs: defineCollection({
    loader: glob({
      base: "./content/lessons",
      pattern: "{en,ru}/**/*.mdx",
      // English pages lie at the root, Russian ones under ru/.
      generateId: ({ entry }) =>
        entry
          .replace(/\.mdx$/, "")
          .replace(/^en\//, "")
          .replace(/^ru\/index$/, "ru"),
    }),
    schema: (context) =>
      z.preprocess(
        (data, { addIssue }) => {
          const problem = frontMatterProblem(data, labs);
          if (problem !== undefined) addIssue({ code: "custom", message: `\n${problem}\n` });
          return data;
        },
        docsSchema({
          extend: z.object({
            /** Name of the lab (a topology of the sandbox) that opens beside the lesson. */
            lab: z.string().optional(),
          }),
        })(context),
      ),
  }),
};

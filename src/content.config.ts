import { defineCollection } from "astro:content";
import { docsSchema } from "@astrojs/starlight/schema";
import { glob } from "astro/loaders";
import { z } from "astro/zod";

export const collections = {
  docs: defineCollection({
    loader: glob({ base: "./content/lessons/en", pattern: "**/*.mdx" }),
    schema: docsSchema({
      extend: z.object({
        /** Name of the lab (a topology of the sandbox) that opens beside the lesson. */
        lab: z.string().optional(),
      }),
    }),
  }),
};

import mdx from "@astrojs/mdx";
import starlight from "@astrojs/starlight";
import { defineConfig } from "astro/config";
import { contentSecurityPolicy } from "./src/build/content-security-policy.ts";
import { courseServer } from "./src/build/course-server.ts";
import { sidebar } from "./src/build/sidebar.ts";

export default defineConfig({
  outDir: "dist",
  trailingSlash: "always",
  integrations: [
    starlight({
      title: "Patchbay",
      description: "Docker networking and Compose, by hand, on a Docker host of your own.",
      logo: { src: "./public/favicon.svg" },
      favicon: "/favicon.svg",
      customCss: ["./src/styles/theme.css", "./src/styles/workspace.css"],
      routeMiddleware: "./src/layouts/lab-route.ts",
      components: { PageFrame: "./src/layouts/PageFrame.astro" },
      markdown: { processedDirs: ["./content/lessons/"] },
      locales: { root: { label: "English", lang: "en" }, ru: { label: "Русский", lang: "ru" } },
      sidebar: sidebar(),
      lastUpdated: false,
      credits: false,
    }),
    mdx(),
    contentSecurityPolicy(),
    courseServer(process.env["PATCHBAY_COURSE"]),
  ],
});

import mdx from "@astrojs/mdx";
import sitemap from "@astrojs/sitemap";
import starlight from "@astrojs/starlight";
import { defineConfig } from "astro/config";
import { contentSecurityPolicy } from "./src/build/content-security-policy.ts";
import { courseServer } from "./src/build/course-server.ts";
import { lessonMarkdown } from "./src/build/lesson-markdown.ts";
import { loadAfterPaint } from "./src/build/load-after-paint.ts";
import { BUILT_ADDRESS } from "./src/server/site-address.ts";

export default defineConfig({
  site: BUILT_ADDRESS,
  outDir: "dist",
  trailingSlash: "always",
  prefetch: false,
  // A lesson is one page that one stays on: one answer with all that it takes to draw it.
  build: { inlineStylesheets: "always" },
  integrations: [
    starlight({
      title: "Patchbay",
      description: "Docker networking and Compose, by hand, on a Docker host of your own.",
      locales: { root: { label: "English", lang: "en" }, ru: { label: "Русский", lang: "ru" } },
      favicon: "/favicon.svg",
      customCss: [
        "./src/styles/tokens.css",
        "./src/styles/base.css",
        "./src/styles/workspace.css",
        "./src/styles/print.css",
      ],
      routeMiddleware: "./src/layouts/lab-route.ts",
      components: {
        Footer: "./src/layouts/Footer.astro",
        Head: "./src/layouts/Head.astro",
        Header: "./src/layouts/Header.astro",
        Hero: "./src/layouts/Hero.astro",
        PageFrame: "./src/layouts/PageFrame.astro",
        PageSidebar: "./src/layouts/Nothing.astro",
        PageTitle: "./src/layouts/PageTitle.astro",
        Sidebar: "./src/layouts/Nothing.astro",
        ThemeProvider: "./src/layouts/ThemeProvider.astro",
      },
      // Labels of headings are in the page's language: `lessonMarkdown` links them.
      markdown: { headingLinks: false, processedDirs: ["./content/lessons/"] },
      tableOfContents: false,
      // Long lines wrap: what scrolls by itself would need a stop for the keyboard.
      expressiveCode: {
        emitExternalStylesheet: false,
        defaultProps: { wrap: true, frame: "none" },
        themes: ["github-dark-high-contrast", "github-light-high-contrast"],
        styleOverrides: {
          borderColor: "var(--pb-line)",
          borderRadius: "var(--pb-radius)",
          codeBackground: "var(--pb-surface)",
          codeFontFamily: "var(--__sl-font-mono)",
          codeFontSize: "var(--sl-text-code)",
        },
      },
      lastUpdated: false,
      credits: false,
    }),
    sitemap({
      filter: (page) => !page.endsWith("/404/"),
      i18n: { defaultLocale: "en", locales: { en: "en", ru: "ru" } },
    }),
    lessonMarkdown(),
    mdx(),
    loadAfterPaint(),
    contentSecurityPolicy(),
    courseServer(process.env["PATCHBAY_COURSE"]),
  ],
});

import { fileURLToPath } from "node:url";
import { isSatteriProcessor, satteriHeadingIdsPlugin } from "@astrojs/markdown-satteri";
import type { AstroIntegration } from "astro";
import { fill } from "../i18n/fill.ts";
import { type Language, languageOf } from "../i18n/language.ts";
import { siteText } from "../i18n/site.ts";

/** Starlight looks for a page's language in the folder that its own loader reads; ours is another. */
const languageOfFile = (file: URL | undefined): Language | undefined => {
  const path = file === undefined ? "" : fileURLToPath(file);
  const found = /\/content\/lessons\/([a-z]+)\//.exec(path)?.[1];
  return found === undefined ? undefined : languageOf(found);
};

/** Titles of callouts and labels of the links of headings, in the language of the lesson. */
export function lessonMarkdown(): AstroIntegration {
  return {
    name: "lesson-markdown",
    hooks: {
      "astro:config:setup": ({ config }) => {
        const { processor } = config.markdown;
        if (processor === undefined || !isSatteriProcessor(processor)) {
          throw new Error("Lessons are written for the Markdown processor Sätteri.");
        }
        processor.options.mdastPlugins.unshift(({ fileURL }) => {
          const language = languageOfFile(fileURL);
          if (language === undefined) return;
          const titles: Readonly<Record<string, string>> = siteText({
            currentLocale: language,
          }).asides;
          return {
            name: "callout-titles",
            containerDirective(node) {
              const title = titles[node.name];
              const [first] = node.children;
              const hasTitle = first?.type === "paragraph" && first.data?.directiveLabel === true;
              if (title === undefined || hasTitle) return;
              const label = {
                type: "paragraph" as const,
                data: { directiveLabel: true },
                children: [{ type: "text" as const, value: title }],
              };
              return { ...node, children: [label, ...node.children] };
            },
          };
        });
        // A table that is wider than a narrow page scrolls, so the keyboard has to get there.
        processor.options.hastPlugins.push({
          name: "table-stops",
          element: {
            filter: ["table"],
            visit: (node, context) => context.setProperty(node, "tabIndex", 0),
          },
        });
        processor.options.hastPlugins.push(satteriHeadingIdsPlugin(), ({ fileURL }) => {
          const language = languageOfFile(fileURL);
          if (language === undefined) return;
          const { section } = siteText({ currentLocale: language }).lesson;
          return {
            name: "heading-links",
            element: {
              filter: ["h2", "h3"],
              visit(node, context) {
                const id = node.properties?.["id"];
                if (typeof id !== "string") return;
                const label = fill(section, { title: context.textContent(node) });
                return {
                  type: "element",
                  tagName: "div",
                  properties: { class: `heading ${node.tagName}` },
                  children: [
                    node,
                    {
                      type: "element",
                      tagName: "a",
                      properties: {
                        class: "heading-link",
                        href: `#${id}`,
                        ariaLabel: label,
                        dataPagefindIgnore: "",
                      },
                      children: [{ type: "text", value: "#" }],
                    },
                  ],
                };
              },
            },
          };
        });
      },
    },
  };
}

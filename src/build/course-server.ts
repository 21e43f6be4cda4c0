import type { AstroIntegration } from "astro";
import { sessionCookie } from "../server/sessions.ts";

/**
 * While one writes, Astro's own server is in front and shows each change at once; what is no page it passes on
 * to the course server at this address. `npm run dev` sets it; builds know nothing of it.
 */
export function courseServer(address: string | undefined): AstroIntegration {
  return {
    name: "course-server",
    hooks: {
      "astro:config:setup": ({ command, updateConfig }) => {
        if (command !== "dev" || address === undefined) return;
        updateConfig({
          // Astro would refuse the API's addresses before they are passed on.
          trailingSlash: "ignore",
          vite: { server: { proxy: { "/api": { target: address, ws: true } } } },
        });
      },
      "astro:server:setup": ({ server }) => {
        if (address === undefined) return;
        server.middlewares.use(async (request, response, next) => {
          const isPage = request.headers.accept?.includes("text/html") === true;
          if (isPage && !request.headers.cookie?.includes(sessionCookie)) {
            // Only the course server gives sessions, with the pages that it serves.
            const page = await fetch(address).catch(() => undefined);
            const cookie = page?.headers.get("set-cookie");
            if (cookie) response.setHeader("set-cookie", cookie);
          }
          next();
        });
      },
    },
  };
}

import { defineRouteMiddleware } from "@astrojs/starlight/route-data";

/** A page with a lab has the lab where others have the course's and the page's contents. */
export const onRequest = defineRouteMiddleware(({ locals }) => {
  const route = locals.starlightRoute;
  if (route.entry.data.lab === undefined) return;
  route.hasSidebar = false;
  route.toc = undefined;
});

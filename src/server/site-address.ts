/**
 * Where the built pages name their own address (canonical links, languages, the site map), they have this one: which
 * it will be is known only when they are served. RFC 2606 keeps `.invalid` from ever being one.
 */
export const BUILT_ADDRESS = "https://patchbay.invalid";

const NAMES_ITSELF = /^(?:text\/html|text\/plain|application\/xml|text\/xml)\b/;

/** A page with the address in it under which it was asked for; any other response as it is. */
export async function withAddress(response: Response, origin: string): Promise<Response> {
  if (!NAMES_ITSELF.test(response.headers.get("content-type") ?? "")) return response;
  const text = (await response.text()).replaceAll(BUILT_ADDRESS, origin);
  const headers = new Headers(response.headers);
  headers.delete("content-length");
  return new Response(text, { status: response.status, headers });
}

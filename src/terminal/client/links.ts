/** What happens when a link in the output is clicked: whoever clicked is asked, and sees where it leads. */
import { ApiError } from "../../http-client/request.ts";
import { fill } from "../../i18n/fill.ts";
import type { LabText } from "../../i18n/lab.ts";
import { askDialog } from "./dialog.ts";
import { create } from "./dom.ts";

/** A port of a lab host that an address means. */
export interface LabPort {
  readonly host: string;
  readonly port: number;
  /** With the query: `/api?x=1`. */
  readonly path: string;
}

const own = new Set(["localhost", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"]);
/** RFC 1918 and link-local: of a container, of the lab's wires, or of somebody's home. */
const inner = /^(10\.|127\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|\[f[cde])/;

/**
 * Where an address leads for who reads it in a terminal of host `here`: to a port of a lab host; to a place that is
 * known in the lab alone; or out into the world.
 */
export function targetOf(
  url: URL,
  here: string,
  hosts: readonly string[],
): LabPort | "inside" | "outside" {
  const { hostname, port, pathname, search } = url;
  const host = own.has(hostname) ? here : hosts.find((name) => name === hostname);
  if (host !== undefined && url.protocol === "http:") {
    return { host, port: Number(port || 80), path: `${pathname}${search}` };
  }
  return host !== undefined || inner.test(hostname) ? "inside" : "outside";
}

/** Asks, and lets the browser open the link: a press on a real link needs no leave from a popup blocker. */
export async function offerLink(
  parent: HTMLElement,
  text: LabText,
  url: URL,
  target: ReturnType<typeof targetOf>,
  way: (port: LabPort) => Promise<string>,
): Promise<void> {
  const { links, terminals } = text;
  const anchor = create(
    "a",
    { class: "pb-button", target: "_blank", rel: "noopener noreferrer" },
    links.open,
  );
  const problem = create("p", { class: "pb-dialog-problem", role: "status" });
  const intro = typeof target === "string" ? links[target] : fill(links.port, { ...target });
  const asked = askDialog(
    parent,
    target === "inside" ? links.insideTitle : links.title,
    [
      create("p", {}, intro),
      create("p", { class: "pb-dialog-address" }, create("code", {}, url.href)),
      problem,
      create("p", { class: "pb-dialog-row" }, anchor),
    ],
    [{ value: "", label: target === "inside" ? terminals.close : terminals.cancel }],
  );
  anchor.addEventListener("click", () => anchor.closest("dialog")?.close());
  if (target === "outside") anchor.href = url.href;
  else if (target !== "inside") {
    problem.textContent = links.wait;
    try {
      anchor.href = await way(target);
      problem.textContent = "";
    } catch (error) {
      problem.textContent =
        (error instanceof ApiError && text.problems[error.code]) ||
        (error instanceof Error ? error.message : String(error));
    }
  }
  if (anchor.href !== "") anchor.focus();
  await asked;
}

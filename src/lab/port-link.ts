import { ApiError } from "../http-client/request.ts";
import { languageOf } from "../i18n/language.ts";
import { clientText } from "../lesson/words.ts";
import { openPort } from "./api.ts";
import { labSession } from "./lab-session.ts";

/** A link to a port of the lab; see `PortLink.astro`. */
class PortLink extends HTMLElement {
  connectedCallback(): void {
    const button = this.querySelector("button");
    const told = this.querySelector<HTMLElement>(".port-told");
    if (button === null || told === null) return;
    const locked = told.textContent ?? "";
    const say = (words: string, status = "") => {
      told.dataset["status"] = status;
      told.textContent = words;
    };
    let ready: string | undefined;
    labSession()?.onChange((phase) => {
      const id = phase.name === "ready" ? phase.id : undefined;
      if (id === ready) return;
      ready = id;
      button.setAttribute("aria-disabled", String(id === undefined));
      say(id === undefined ? locked : "");
    });
    button.addEventListener("click", () => {
      if (ready !== undefined) void this.#open(ready, say, told);
    });
  }

  async #open(
    labId: string,
    say: (words: string, status?: string) => void,
    told: HTMLElement,
  ): Promise<void> {
    const text = clientText();
    const { port, path = "/", host } = this.dataset;
    // Opened before the server answers: later, browsers take it for a pop-up.
    const tab = window.open("about:blank", "_blank");
    if (tab !== null) tab.opener = null;
    say(text.port.opening);
    try {
      const language = languageOf(document.documentElement.lang);
      const target = { port: Number(port), path, language, ...(host !== undefined && { host }) };
      const url = await openPort(labId, target);
      if (tab !== null) {
        tab.location.replace(url);
        return say(text.port.opened);
      }
      say(`${text.port.blocked} `);
      const link = document.createElement("a");
      Object.assign(link, {
        href: url,
        target: "_blank",
        rel: "noopener",
        textContent: `:${port}`,
      });
      told.append(link);
    } catch (error) {
      tab?.close();
      say(error instanceof ApiError ? error.message : text.serverGone, "failed");
    }
  }
}

customElements.define("pb-port", PortLink);

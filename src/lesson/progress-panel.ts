import { ApiError, request } from "../http-client/request.ts";
import { fill } from "../i18n/fill.ts";
import { progress } from "./progress.ts";
import { clientText } from "./words.ts";

/** Saves and loads progress as a file; see `ProgressPanel.astro`. */
class ProgressPanel extends HTMLElement {
  connectedCallback(): void {
    const input = this.querySelector("input");
    this.querySelector("[data-action=import]")?.addEventListener("click", () => input?.click());
    input?.addEventListener("change", () => {
      const file = input.files?.[0];
      if (file !== undefined) void this.#load(file);
      input.value = "";
    });
  }

  async #load(file: File): Promise<void> {
    const text = clientText();
    try {
      const body = await file.text();
      try {
        JSON.parse(body);
      } catch {
        return this.#tell(fill(text.progress.notJson, { name: file.name }), "failed");
      }
      const headers = { "content-type": "application/json" };
      const response = await request("/api/progress/import", { method: "POST", headers, body });
      const counts: Record<string, number> = await response.json();
      await progress.load();
      const isNew = Object.values(counts).some((count) => count > 0);
      this.#tell(isNew ? fill(text.progress.imported, counts) : text.progress.nothing, "passed");
    } catch (error) {
      this.#tell(error instanceof ApiError ? error.message : text.serverGone, "failed");
    }
  }

  #tell(words: string, status: string): void {
    const told = this.querySelector<HTMLElement>(".progress-told");
    if (told === null) return;
    told.dataset["status"] = status;
    told.textContent = words;
  }
}

customElements.define("pb-progress", ProgressPanel);

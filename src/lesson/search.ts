import { fill } from "../i18n/fill.ts";
import { clientText } from "./words.ts";

interface SearchPart {
  readonly url: string;
  readonly title: string;
  /** HTML: the text with `mark` around what was found. */
  readonly excerpt: string;
}

interface Pagefind {
  init(): Promise<void>;
  /** `null` where another search came after it. */
  debouncedSearch(term: string): Promise<{
    readonly results: readonly {
      data(): Promise<{
        readonly url: string;
        readonly excerpt: string;
        readonly meta: { readonly title?: string };
        readonly sub_results: readonly SearchPart[];
      }>;
    }[];
  } | null>;
}

const SHOWN = 8;
const SECTIONS_SHOWN = 3;

function link({ url, title, excerpt }: SearchPart, className: string): HTMLAnchorElement {
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.className = className;
  const name = document.createElement("strong");
  name.textContent = title;
  const text = document.createElement("span");
  // Pagefind escapes what it found; only its own `mark` is markup.
  text.innerHTML = excerpt;
  anchor.append(name, text);
  return anchor;
}

/** The dialog that searches the course; see `Search.astro`. */
class CourseSearch extends HTMLElement {
  #pagefind: Promise<Pagefind> | undefined;

  connectedCallback(): void {
    const { dialog, input } = this.#parts();
    this.querySelector(".search-open")?.addEventListener("click", () => this.#open());
    window.addEventListener("keydown", (event) => {
      if (event.key !== "k" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      if (dialog.open) dialog.close();
      else this.#open();
    });
    dialog.addEventListener("click", (event) => {
      const onBackdrop = event.target === dialog;
      const onLink = (event.target as Element).closest("a") !== null;
      if (onBackdrop || onLink) dialog.close();
    });
    input.addEventListener("input", () => void this.#search(input.value.trim()));
    // Enter opens the first result instead of closing the dialog.
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.querySelector<HTMLAnchorElement>(".search-results a")?.click();
    });
    dialog.addEventListener("keydown", (event) => this.#walk(event));
  }

  #parts() {
    const dialog = this.querySelector("dialog");
    const input = this.querySelector("input");
    const status = this.querySelector(".search-status");
    const list = this.querySelector("ol");
    if (dialog === null || input === null || status === null || list === null) {
      throw new Error("The search lacks a part.");
    }
    return { dialog, input, status, list };
  }

  #open(): void {
    const { dialog, input } = this.#parts();
    dialog.showModal();
    input.select();
    void this.#load().catch(() => undefined);
  }

  /** Arrows walk through the results. */
  #walk(event: KeyboardEvent): void {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    const { input, list } = this.#parts();
    const stops: HTMLElement[] = [input, ...list.querySelectorAll("a")];
    const at = stops.indexOf(document.activeElement as HTMLElement);
    event.preventDefault();
    stops[Math.max(0, Math.min(stops.length - 1, at + step))]?.focus();
  }

  #load(): Promise<Pagefind> {
    // Not an import that the bundler sees: the index is made after the bundle.
    const address = "/pagefind/pagefind.js";
    this.#pagefind ??= import(/* @vite-ignore */ address).then(async (pagefind: Pagefind) => {
      await pagefind.init();
      return pagefind;
    });
    return this.#pagefind;
  }

  async #search(term: string): Promise<void> {
    const { status, list } = this.#parts();
    const text = clientText().search;
    if (term === "") {
      list.replaceChildren();
      status.textContent = "";
      return;
    }
    status.textContent = text.searching;
    try {
      const found = await (await this.#load()).debouncedSearch(term);
      if (found === null) return;
      const pages = await Promise.all(found.results.slice(0, SHOWN).map((each) => each.data()));
      if (this.#parts().input.value.trim() !== term) return;
      list.replaceChildren(
        ...pages.map((page) => {
          const item = document.createElement("li");
          const title = page.meta.title ?? page.url;
          // What stands before the first heading is a section of the page's own name.
          const sections = page.sub_results.filter((part) => part.title !== title);
          item.append(link({ url: page.url, title, excerpt: page.excerpt }, "page"));
          item.append(...sections.slice(0, SECTIONS_SHOWN).map((part) => link(part, "section")));
          return item;
        }),
      );
      status.textContent =
        found.results.length === 0
          ? fill(text.none, { term })
          : fill(text.found, { count: found.results.length });
    } catch {
      this.#pagefind = undefined;
      status.textContent = import.meta.env.DEV ? text.development : text.failed;
    }
  }
}

customElements.define("pb-search", CourseSearch);

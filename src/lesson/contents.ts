/** Space above a heading that still counts as reading its section, pixels. */
const MARGIN = 96;

/** Width of the pane from which on the list stands beside the text; see `LessonContents.astro`. */
const BESIDE_REM = 64;

/** The list of a lesson's sections; see `LessonContents.astro`. */
class LessonContents extends HTMLElement {
  connectedCallback(): void {
    const pane = this.closest<HTMLElement>(".workspace-lesson");
    const details = this.querySelector("details");
    if (pane === null || details === null) return;
    const links = [...this.querySelectorAll("a")];
    let asked = false;
    const look = () => {
      asked = false;
      this.#show(pane, links);
    };
    // What stands in the page is right at its top, and whatever goes elsewhere scrolls.
    pane.addEventListener(
      "scroll",
      () => {
        if (!asked) requestAnimationFrame(look);
        asked = true;
      },
      { passive: true },
    );

    let beside = false;
    const close = () => {
      if (!beside) details.open = false;
    };
    new ResizeObserver(([entry]) => {
      const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
      const fits = (entry?.contentRect.width ?? 0) >= BESIDE_REM * rem;
      if (fits === beside) return;
      beside = fits;
      details.open = fits;
    }).observe(pane);
    for (const link of links) link.addEventListener("click", close);
    // What is far from the screen is only guessed to be as high as it is, and a jump goes past it: see base.css.
    const jump = () => {
      document.documentElement.dataset["whole"] = "";
      headingOf(location.hash)?.scrollIntoView();
    };
    addEventListener("hashchange", jump);
    document.addEventListener("click", (event) => {
      if (!details.contains(event.target as Node)) close();
    });
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !details.open || beside) return;
      close();
      details.querySelector("summary")?.focus();
    });
  }

  #show(pane: HTMLElement, links: readonly HTMLAnchorElement[]): void {
    const top = pane.getBoundingClientRect().top + MARGIN;
    const passed = links.filter((link) => {
      const heading = headingOf(link.hash);
      return heading !== null && heading.getBoundingClientRect().top <= top;
    });
    const current = passed.at(-1);
    for (const link of links) {
      if (link === current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    const name = this.querySelector(".contents-current");
    if (name !== null) name.textContent = current?.textContent ?? "";
    const way = pane.scrollTop / Math.max(1, pane.scrollHeight - pane.clientHeight);
    this.style.setProperty("--way", way.toFixed(3));
  }
}

const headingOf = (hash: string) => document.getElementById(decodeURIComponent(hash.slice(1)));

customElements.define("pb-contents", LessonContents);

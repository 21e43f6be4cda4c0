const KEY = "patchbay.split";
const MIN = 25;
const MAX = 75;
const STEP = 2;

/** The border between lesson and lab; moved by pointer or keyboard, in percent of the page's width. */
export class PaneDivider extends HTMLElement {
  #percent = 46;

  connectedCallback(): void {
    const stored = Number(localStorage.getItem(KEY));
    this.setAttribute("aria-valuemin", String(MIN));
    this.setAttribute("aria-valuemax", String(MAX));
    this.#move(stored >= MIN && stored <= MAX ? stored : this.#percent);
    this.addEventListener("pointerdown", (event) => {
      this.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    this.addEventListener("pointermove", (event) => {
      if (!this.hasPointerCapture(event.pointerId)) return;
      this.#move((event.clientX / window.innerWidth) * 100);
    });
    this.addEventListener("keydown", (event) => {
      const to: Readonly<Record<string, number>> = {
        ArrowLeft: this.#percent - STEP,
        ArrowRight: this.#percent + STEP,
        Home: MIN,
        End: MAX,
      };
      const percent = to[event.key];
      if (percent === undefined) return;
      event.preventDefault();
      this.#move(percent);
    });
  }

  #move(percent: number): void {
    this.#percent = Math.round(Math.min(MAX, Math.max(MIN, percent)) * 10) / 10;
    this.setAttribute("aria-valuenow", String(Math.round(this.#percent)));
    this.closest<HTMLElement>(".workspace")?.style.setProperty(
      "--workspace-split",
      `${this.#percent}%`,
    );
    localStorage.setItem(KEY, String(this.#percent));
  }
}

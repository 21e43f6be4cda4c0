/** Space between a term and its card, and between the card and the window's border, pixels. */
const GAP = 6;
const BORDER = 12;
/** How long a pointer rests before the card shows, and how long it may be away from both, milliseconds. */
const REST_MS = 350;
const AWAY_MS = 250;

/**
 * A term and its card (see `Term.astro`). The platform opens it by press and closes it by Escape; a pointer that rests
 * on the term opens it too, and may move into it.
 */
class Term extends HTMLElement {
  connectedCallback(): void {
    const button = this.querySelector("button");
    const card = this.querySelector<HTMLElement>("[popover]");
    if (button === null || card === null) return;
    const place = () => {
      const term = button.getClientRects()[0] ?? button.getBoundingClientRect();
      const { width, height } = card.getBoundingClientRect();
      const below = term.bottom + GAP;
      const top = below + height + BORDER < window.innerHeight ? below : term.top - GAP - height;
      const left = Math.min(term.left, window.innerWidth - width - BORDER);
      card.style.top = `${Math.max(BORDER, top)}px`;
      card.style.left = `${Math.max(BORDER, left)}px`;
    };
    const close = () => card.hidePopover();
    card.addEventListener("toggle", (event) => {
      const open = (event as ToggleEvent).newState === "open";
      if (open) place();
      // The card stays where it was laid; the text under it does not.
      const method = open ? "addEventListener" : "removeEventListener";
      window[method]("scroll", close, { capture: true });
      window[method]("resize", close);
    });

    let timer: ReturnType<typeof setTimeout> | undefined;
    let byPointer = false;
    this.addEventListener("pointerenter", ({ pointerType }) => {
      clearTimeout(timer);
      if (pointerType !== "mouse" || card.matches(":popover-open")) return;
      timer = setTimeout(() => {
        byPointer = true;
        card.showPopover();
      }, REST_MS);
    });
    this.addEventListener("pointerleave", () => {
      clearTimeout(timer);
      if (!byPointer || this.contains(document.activeElement)) return;
      timer = setTimeout(() => {
        byPointer = false;
        card.hidePopover();
      }, AWAY_MS);
    });
    // A press on a card that the pointer had opened keeps it open.
    button.addEventListener("click", (event) => {
      clearTimeout(timer);
      if (byPointer && card.matches(":popover-open")) event.preventDefault();
      byPointer = false;
    });
  }
}

customElements.define("pb-term", Term);

import { progress } from "./progress.ts";
import { clientText } from "./words.ts";

/** Reading to the end takes at least so long, milliseconds; who jumps there has not read. */
const SOONEST_MS = 10_000;

/** The end of a lesson: reaching it marks the lesson as read, and so does the button; see `Footer.astro`. */
class LessonEnd extends HTMLElement {
  connectedCallback(): void {
    const lesson = this.dataset["lesson"] ?? "";
    const button = this.querySelector("button");
    if (button === null) return;
    let read = false;
    progress.onChange(({ lessons }) => {
      read = lessons[lesson] !== undefined;
      this.dataset["state"] = read ? "done" : "";
      const { read: markRead = "", unread = "" } = button.dataset;
      const label = button.querySelector("span");
      if (label !== null) label.textContent = read ? unread : markRead;
      this.#tell(read ? clientText().read.done : "");
    });
    button.addEventListener("click", () => {
      progress.setRead(lesson, !read);
      // The student's word: reaching the end again does not mark it anew.
      observer.disconnect();
    });
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      if (performance.now() < SOONEST_MS) return;
      observer.disconnect();
      if (!read) progress.setRead(lesson, true);
    });
    observer.observe(this);
  }

  #tell(text: string): void {
    const told = this.querySelector(".read-told");
    if (told !== null && told.textContent !== text) told.textContent = text;
  }
}

customElements.define("pb-read", LessonEnd);

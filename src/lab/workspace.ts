/** What makes a lesson's page a workspace: the divider, the switch of a narrow screen, the lab's pane. */
import { PaneDivider } from "./divider.ts";
import { LabPane } from "./lab-pane.ts";

customElements.define("pb-divider", PaneDivider);
customElements.define("pb-lab", LabPane);

const workspace = document.querySelector<HTMLElement>(".workspace");
const narrow = matchMedia("(max-width: 56rem)");

/** While the lab hides the lesson, it is what the page is about: for who goes by landmarks and headings, too. */
function nameMain(): void {
  const alone = narrow.matches && workspace?.dataset["pane"] === "lab";
  const lab = workspace?.querySelector(".workspace-lab");
  if (alone) lab?.setAttribute("role", "main");
  else lab?.removeAttribute("role");
  lab?.querySelector(".lab-name")?.setAttribute("aria-level", alone ? "1" : "2");
}

narrow.addEventListener("change", nameMain);
const buttons = document.querySelectorAll<HTMLButtonElement>(".workspace-switch button");
for (const button of buttons) {
  button.addEventListener("click", () => {
    workspace?.setAttribute("data-pane", button.dataset["pane"] ?? "lesson");
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    nameMain();
  });
}

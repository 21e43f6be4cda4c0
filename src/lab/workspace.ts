/** What makes a lesson's page a workspace: the divider, the switch of a narrow screen, the lab's pane. */
import { PaneDivider } from "./divider.ts";
import { LabPane } from "./lab-pane.ts";

customElements.define("pb-divider", PaneDivider);
customElements.define("pb-lab", LabPane);

const workspace = document.querySelector<HTMLElement>(".workspace");
const buttons = document.querySelectorAll<HTMLButtonElement>(".workspace-switch button");
for (const button of buttons) {
  button.addEventListener("click", () => {
    workspace?.setAttribute("data-pane", button.dataset["pane"] ?? "lesson");
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
  });
}

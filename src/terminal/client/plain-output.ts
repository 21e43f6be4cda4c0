/** A terminal's output as a text field: what a screen reader reads line by line, and a finger can select. */
import { fill } from "../../i18n/fill.ts";
import type { LabText } from "../../i18n/lab.ts";
import { askDialog } from "./dialog.ts";
import { create } from "./dom.ts";

export async function showPlainOutput(
  parent: HTMLElement,
  text: LabText["terminals"],
  tab: string,
  read: () => string,
): Promise<void> {
  const field = create("textarea", {
    readonly: "",
    rows: "16",
    spellcheck: "false",
    wrap: "off",
    "aria-label": fill(text.plainTitle, { tab }),
  });
  const told = create("span", { role: "status" });
  const show = () => {
    field.value = read();
    field.scrollTop = field.scrollHeight;
    // A reader starts with what came last.
    field.setSelectionRange(field.value.length, field.value.length);
  };
  const refresh = create("button", { type: "button", class: "pb-button quiet" }, text.refresh);
  refresh.addEventListener("click", () => {
    show();
    field.focus();
  });
  const copy = create("button", { type: "button", class: "pb-button quiet" }, text.copyAll);
  copy.addEventListener("click", () => {
    navigator.clipboard.writeText(field.value).then(
      () => {
        told.textContent = text.copied;
      },
      () => {
        told.textContent = text.copyRefused;
      },
    );
  });
  const asked = askDialog(
    parent,
    fill(text.plainTitle, { tab }),
    [
      create("p", { class: "pb-dialog-hint" }, text.plainHint),
      field,
      create("p", { class: "pb-dialog-row" }, refresh, copy, told),
    ],
    [{ value: "", label: text.close, main: true }],
  );
  field.closest("dialog")?.classList.add("wide");
  show();
  field.focus();
  await asked;
}

/** Small modal questions of the pane. */
import { create } from "./dom.ts";

export interface DialogAction {
  readonly value: string;
  readonly label: string;
  /** The one that most will want. */
  readonly main?: boolean;
}

let count = 0;

/**
 * Shows a modal dialog and resolves with the chosen action's value; `undefined` where it was left by Esc. Focus
 * returns to where it was. `build` may add to the body, and gets the dialog to close it by itself.
 */
export function askDialog(
  parent: HTMLElement,
  title: string,
  body: readonly (Node | string)[],
  actions: readonly DialogAction[],
): Promise<string | undefined> {
  count += 1;
  const id = `pb-dialog-${count}`;
  const buttons = actions.map(({ value, label, main }) =>
    create(
      "button",
      { type: "submit", value, class: main ? "pb-button" : "pb-button quiet" },
      label,
    ),
  );
  const dialog = create(
    "dialog",
    { class: "pb-dialog", "aria-labelledby": id },
    create("h2", { id }, title),
    create(
      "form",
      { method: "dialog" },
      ...body,
      create("div", { class: "pb-dialog-actions" }, ...buttons),
    ),
  );
  parent.append(dialog);
  const before = document.activeElement;
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement) before.focus();
      resolve(dialog.returnValue === "" ? undefined : dialog.returnValue);
    });
    dialog.showModal();
    const field = dialog.querySelector<HTMLElement>("input, [autofocus]");
    if (field !== null) {
      field.focus();
      // Enter in a field means the main action, not the first button.
      field.addEventListener("keydown", (event) => {
        const main = actions.findIndex((action) => action.main);
        if ((event as KeyboardEvent).key !== "Enter" || main < 0) return;
        event.preventDefault();
        buttons[main]?.click();
      });
    }
  });
}

/** With the lab's name behind it: where the browser keeps the id of the student's lab; nothing is there where none is open. */
export const LAB_KEY = "patchbay.lab.";

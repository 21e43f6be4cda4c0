/** Where the browser keeps the id of the student's lab of that name; nothing is there where none is open. */
export const LAB_KEY = "patchbay.lab.";
export const labKey = (lab: string): string => LAB_KEY + lab;

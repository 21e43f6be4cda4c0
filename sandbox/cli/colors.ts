import pico from "picocolors";

export type Colors = ReturnType<typeof pico.createColors>;

/** Whether a stream gets colours: a terminal does, unless `NO_COLOR` is set; `FORCE_COLOR` gives them to any stream. */
export function wantsColors(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR) return false;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
  return stream.isTTY === true && TERM !== "dumb";
}

// Given no argument, picocolors would also colour what a CI system reads.
export const colorsFor = (stream: NodeJS.WriteStream): Colors =>
  pico.createColors(wantsColors(stream));

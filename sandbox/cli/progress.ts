import type { ProgressListener } from "../index.ts";

const WORTH_TELLING_MS = 500;

/**
 * Progress on stderr, since stdout is for data: each step that takes a while on a line of its own, with its time;
 * on a terminal the time counts while the step runs.
 */
export function progressLines(stream: NodeJS.WriteStream = process.stderr): {
  readonly step: ProgressListener;
  /** Ends the last step. Idempotent. */
  done(): void;
} {
  let line: string | undefined;
  let startMs = 0;
  let timer: NodeJS.Timeout | undefined;
  const show = (end: string) => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    const text = `  ${line}  ${seconds} s`;
    if (stream.isTTY) stream.write(`\r\u001b[2K${text.slice(0, stream.columns - 1)}${end}`);
    else if (end !== "") stream.write(`${text}\n`);
  };
  const done = () => {
    clearInterval(timer);
    const quick = performance.now() - startMs < WORTH_TELLING_MS;
    if (line !== undefined && !quick) show("\n");
    else if (line !== undefined && stream.isTTY) stream.write("\r\u001b[2K");
    line = undefined;
  };
  return {
    step({ title, detail }) {
      done();
      line = detail === undefined ? title : `${title} (${detail})`;
      startMs = performance.now();
      if (stream.isTTY) {
        show("");
        timer = setInterval(show, 1000, "");
        timer.unref();
      } else if (detail !== undefined) {
        stream.write(`  ${line} …\n`);
      }
    },
    done,
  };
}

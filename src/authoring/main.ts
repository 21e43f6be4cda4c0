/** `npm run lint:content` ends here. Exit codes: 0 nothing is wrong, 1 something is. */
import { lintContent } from "./lint.ts";

const problems = lintContent();
for (const { file, line, message } of problems) {
  process.stdout.write(`${file}:${line}: ${message}\n`);
}
const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
process.stderr.write(problems.length === 0 ? "The content is in order.\n" : `${count}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;

// Starts the tests' engine and builds the images of its labs. Run by the pinned Node, while suites run that need neither.
import { progressLines } from "../sandbox/cli/progress.ts";
import { openSandbox } from "../sandbox/open.ts";

const progress = progressLines();
await using engine = await openSandbox({ engine: "managed", onProgress: progress.step });
await engine.prepare(progress.step).finally(progress.done);

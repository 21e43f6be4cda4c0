// `npm run lint:content`: what authors may have got wrong in lessons, questions and glossary.
import { installDependencies, root } from "./dependencies.mjs";
import { runPinned } from "./run-pinned.mjs";

installDependencies();
await runPinned(`${root}src/authoring/main.ts`);

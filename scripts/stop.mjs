// `npm stop`: ends the course server, the labs' processes and the managed engine.
import { existsSync } from "node:fs";
import { pinnedNode, root } from "./dependencies.mjs";
import { runPinned } from "./run-pinned.mjs";

// Nothing was ever started where the dependencies are not there.
if (existsSync(pinnedNode)) await runPinned(`${root}src/server/stop.ts`);

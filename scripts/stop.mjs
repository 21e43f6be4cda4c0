// `npm stop`: ends the course server, the labs' processes and the managed engine.
import { existsSync } from "node:fs";
import { becomePinned, pinnedNode } from "./dependencies.mjs";

// Nothing was ever started where the dependencies are not there.
if (existsSync(pinnedNode)) becomePinned("src/server/stop.ts", process.argv.slice(2));

/** `npm stop` ends here: the server, the terminals' keepers, the labs' processes, the managed engine. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  chosenEngine,
  exitCodes,
  runCommandLine,
  stateDirectory,
} from "../../sandbox/cli/command-line.ts";
import { progressLines } from "../../sandbox/cli/progress.ts";
import { stopSandbox } from "../../sandbox/open.ts";
import { TerminalGateway } from "../terminal/server/index.ts";
import { runningServer } from "./pid-file.ts";

const SERVER_TIMEOUT_MS = 10_000;

await runCommandLine("Usage: npm stop", async () => {
  const progress = progressLines();
  const pid = runningServer(stateDirectory);
  if (pid !== undefined) {
    progress.step({ title: "Ending the server" });
    process.kill(pid, "SIGTERM");
    const deadlineMs = performance.now() + SERVER_TIMEOUT_MS;
    while (runningServer(stateDirectory) !== undefined) {
      if (performance.now() > deadlineMs) {
        throw new Error(
          `The server (pid ${pid}) did not end within ${SERVER_TIMEOUT_MS / 1000} s.`,
        );
      }
      await sleep(100);
    }
  }
  // Shells end with their labs; here go the processes that keep their screens.
  await using terminals = new TerminalGateway({ stateDir: stateDirectory });
  for (const lab of await terminals.labs()) await terminals.closeLab(lab);
  progress.step({ title: "Ending labs and the engine" });
  await stopSandbox(chosenEngine(undefined));
  progress.done();
  process.stderr.write("All has ended. Labs keep their files; npm start brings them back.\n");
  return exitCodes.passed;
});

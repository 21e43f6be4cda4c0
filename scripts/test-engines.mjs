// `npm run test:engines`: the labs' tests with the engines of Debian 12 and of testing inside the labs.
import { installDependencies, installPackages, pinnedNode, run } from "./dependencies.mjs";

installDependencies();
installPackages("dockerd", ["docker.io"]);
installPackages("mmdebstrap", ["mmdebstrap"]);
const files = ["lab-host", "life"].map((name) => `tests/lab/${name}.test.ts`);
let failed = 0;
for (const release of ["bookworm", "testing"]) {
  console.log(`\nLabs of Debian ${release}`);
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--project=lab", ...files];
  if (run(pinnedNode, vitest, { PATCHBAY_LAB_DEBIAN: release }) !== 0) failed += 1;
}
process.exitCode = failed > 0 ? 1 : 0;

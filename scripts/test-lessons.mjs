// `npm run test:lessons [-- LESSON]`: types every command of every lesson, or of one, into a real lab.
import { installDependencies, installPackages, pinnedNode, run } from "./dependencies.mjs";

installDependencies();
installPackages("dockerd", ["docker.io"]);
installPackages("mmdebstrap", ["mmdebstrap"]);
const lesson = process.argv[2];
const named = lesson === undefined ? [] : ["--testNamePattern", `/${lesson}\\.mdx`];
const vitest = ["node_modules/vitest/vitest.mjs", "run", "--project=lessons", ...named];
process.exitCode = run(pinnedNode, vitest);

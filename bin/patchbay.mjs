#!/usr/bin/env node
import { fileURLToPath } from "node:url";
import { runPinned } from "../scripts/run-pinned.mjs";

await runPinned(fileURLToPath(new URL("../sandbox/cli/main.ts", import.meta.url)));

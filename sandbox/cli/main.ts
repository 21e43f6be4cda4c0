import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import type { LabSummary } from "../index.ts";
import {
  chooseLab,
  chosenPlugins,
  exitCodes,
  openEngine,
  runCommandLine,
  UsageError,
  unknown,
} from "./command-line.ts";
import { doctor } from "./doctor.ts";
import { jsonText } from "./json.ts";
import { progressLines } from "./progress.ts";

const usage = `
Usage: patchbay <command> [options]

  doctor [--format json]                     what this machine has, and which engine and isolation it gets
  lab up <lab> [--name N] [--format json]    start a lab, for example: patchbay lab up iptables
  lab ls [--format json]                     the labs there are
  lab exec <id> [--host H] -- COMMAND…       run a command as root on a lab host
  lab shell <id> [--host H]                  a shell on a lab host
  lab facts <id> [--host H]                  what is in a lab, as JSON: docs/facts.md says what the fields mean
  lab reset <id>                             back to the start state
  lab down <id> | --all                      end a lab, with everything in it

  --engine managed|unix:///…|tcp://…         the engine that labs run on (also PATCHBAY_ENGINE)
  --plugin DIR                               a folder with labs of its own, for lab up (also PATCHBAY_PLUGINS)
`;

const engineOption = { engine: { type: "string" } } as const;
const formatOption = { format: { type: "string" } } as const;

function jsonWanted(format: string | undefined): boolean {
  if (format === undefined || format === "pretty") return false;
  if (format === "json") return true;
  throw unknown("format", format, ["pretty", "json"]);
}

const print = (value: unknown) => process.stdout.write(jsonText(value));
const shape = ({ id, lab, hosts }: LabSummary) => ({
  id,
  lab,
  hosts: hosts.map(({ name }) => ({ name })),
});

function one(positionals: readonly string[], what: string): string {
  const [value, ...rest] = positionals;
  if (value === undefined) throw new UsageError(`Say ${what}.`);
  if (rest.length > 0) throw new UsageError(`Too many arguments: ${rest.join(" ")}.`);
  return value;
}

function optional(positionals: readonly string[]): string | undefined {
  return positionals.length === 0 ? undefined : one(positionals, "which lab");
}

async function up(args: string[], signal: AbortSignal): Promise<number> {
  const options = {
    ...engineOption,
    ...formatOption,
    name: { type: "string" },
    plugin: { type: "string", multiple: true },
  } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const json = jsonWanted(values.format);
  const topology = one(positionals, "which lab, for example: patchbay lab up iptables");
  await using engine = await openEngine(values.engine, { plugins: chosenPlugins(values.plugin) });
  const progress = progressLines();
  const name = values.name === undefined ? {} : { name: values.name };
  const lab = await engine
    .up({ topology, ...name, signal, onProgress: progress.step })
    .finally(progress.done);
  if (json) print(shape(lab));
  else process.stdout.write(`${lab.id}\n`);
  return exitCodes.passed;
}

function age(createdAtMs: number): string {
  const minutes = Math.floor((Date.now() - createdAtMs) / 60_000);
  if (minutes < 1) return "just now";
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}

async function ls(args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { ...engineOption, ...formatOption } });
  const json = jsonWanted(values.format);
  await using engine = await openEngine(values.engine);
  const labs = await engine.list();
  if (json) {
    print(labs.map((lab) => ({ ...shape(lab), state: lab.state })));
    return exitCodes.passed;
  }
  if (labs.length === 0) {
    process.stderr.write("No lab runs. Start one: patchbay lab up iptables\n");
    return exitCodes.passed;
  }
  const rows = [
    ["ID", "LAB", "STATE", "AGE", "HOSTS"],
    ...labs.map((lab) => [
      lab.id,
      lab.lab,
      lab.problem === undefined ? lab.state : `${lab.state} (${lab.problem})`,
      age(lab.createdAtMs),
      lab.hosts.map(({ name }) => name).join(" "),
    ]),
  ];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  for (const row of rows) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
    process.stdout.write(`${line.trimEnd()}\n`);
  }
  return exitCodes.passed;
}

const hostOptions = { ...engineOption, host: { type: "string" } } as const;

async function exec(args: string[], signal: AbortSignal): Promise<number> {
  const border = args.indexOf("--");
  const command = border === -1 ? [] : args.slice(border + 1);
  if (command.length === 0) {
    throw new UsageError("Put the command after --, for example: patchbay lab exec ID -- ip addr");
  }
  const { values, positionals } = parseArgs({
    args: args.slice(0, border),
    options: hostOptions,
    allowPositionals: true,
  });
  await using engine = await openEngine(values.engine);
  const lab = await chooseLab(engine, optional(positionals));
  const { stdin, stdout, stderr } = process;
  return lab.host(values.host).exec(command, { stdin, stdout, stderr, signal });
}

async function shell(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options: hostOptions, allowPositionals: true });
  if (!process.stdin.isTTY) {
    throw new UsageError(
      "A shell needs a terminal. For a script: patchbay lab exec ID -- COMMAND…",
    );
  }
  await using engine = await openEngine(values.engine);
  const host = (await chooseLab(engine, optional(positionals))).host(values.host);
  const terminalId = `cli-${randomBytes(4).toString("hex")}`;
  const { file, args: argv, env } = host.shellCommand({ terminalId });
  const child = spawn(file, argv, { stdio: "inherit", env: { ...process.env, ...env } });
  try {
    return await new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (code) => resolve(code ?? exitCodes.broken));
    });
  } finally {
    await host.endShell(terminalId);
  }
}

async function facts(args: string[], signal: AbortSignal): Promise<number> {
  const { values, positionals } = parseArgs({ args, options: hostOptions, allowPositionals: true });
  await using engine = await openEngine(values.engine);
  const lab = await chooseLab(engine, optional(positionals));
  print(await lab.facts({ signal, ...(values.host === undefined ? {} : { host: values.host }) }));
  return exitCodes.passed;
}

async function reset(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: engineOption,
    allowPositionals: true,
  });
  const id = one(positionals, "which lab");
  await using engine = await openEngine(values.engine);
  const progress = progressLines();
  await engine.reset(id, { onProgress: progress.step }).finally(progress.done);
  return exitCodes.passed;
}

async function down(args: string[]): Promise<number> {
  const options = { ...engineOption, all: { type: "boolean" } } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.all && positionals.length > 0) throw new UsageError("Either an id or --all.");
  const id = values.all ? undefined : one(positionals, "which lab, or --all");
  await using engine = await openEngine(values.engine);
  const ids = id === undefined ? (await engine.list()).map((lab) => lab.id) : [id];
  for (const each of ids) await engine.down(each);
  return exitCodes.passed;
}

const labCommands = { up, ls, exec, shell, facts, reset, down };

await runCommandLine(usage, async ([command, ...rest], signal) => {
  if (command === undefined) throw new UsageError("Say which command.");
  if (command === "doctor") {
    const { values } = parseArgs({ args: rest, options: { ...engineOption, ...formatOption } });
    return doctor({ engine: values.engine, json: jsonWanted(values.format) });
  }
  if (command !== "lab") throw unknown("command", command, ["doctor", "lab"]);
  const [name = "", ...args] = rest;
  if (!Object.hasOwn(labCommands, name)) {
    throw unknown("lab command", name, Object.keys(labCommands));
  }
  return labCommands[name as keyof typeof labCommands](args, signal);
});

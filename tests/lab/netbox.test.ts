/** NetBox in the lab as a student meets it, and its grader while the stack is not as it should be. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type { CheckResult, ExerciseResult } from "../../graders/index.ts";
import { exercises, gradeExercise, inLanguage } from "../../graders/index.ts";
import type { Lab } from "../../sandbox/index.ts";
import { launchBrowser } from "../fixtures/browser.ts";
import type { CourseClient } from "../fixtures/course-client.ts";
import { CourseServer } from "../fixtures/course-server.ts";

const PROJECT = "/root/netbox-docker";
const homework = exercises.find(({ id }) => id === "homework/netbox-rqworker");

let server: CourseServer;
let student: CourseClient;
let lab: Lab;
let browser: Browser;

beforeAll(async () => {
  server = await CourseServer.start();
  student = await server.student();
  lab = await server.engine.find(await student.runningLab("netbox", 500));
  browser = await launchBrowser();
}, 900_000);

afterAll(async () => {
  await browser?.close();
  await server?.[Symbol.asyncDispose]();
}, 60_000);

/** Runs a script in the project's folder; resolves with what it printed. */
async function run(script: string): Promise<string> {
  const input = `cd ${PROJECT}\n${script}`;
  const { exitCode, stdout, stderr } = await lab.host().capture(["bash", "-e"], { input });
  if (exitCode !== 0) throw new Error(`${script} ended with ${exitCode}: ${stderr.slice(-1000)}`);
  return stdout.trim();
}

/** The verdict, and what was said while it was waited for. */
async function check(
  onProgress: (text: string) => void = () => undefined,
): Promise<{ readonly result: ExerciseResult; readonly said: readonly string[] }> {
  if (homework === undefined) throw new Error("There is no homework.");
  const said: string[] = [];
  const result = await gradeExercise(homework, lab, {
    onProgress: ({ text }) => {
      said.push(inLanguage(text, "en"));
      onProgress(inLanguage(text, "en"));
    },
  });
  return { result, said };
}

/** A check that failed, in English. */
function failure(result: ExerciseResult, id: string): string {
  const found: CheckResult | undefined = result.checks.find((each) => each.id === id);
  if (found?.status !== "failed") throw new Error(`${id} is ${JSON.stringify(found)}`);
  return inLanguage(found.actual, "en");
}

test("all services are healthy at the first prompt", async () => {
  const states = await run(`docker compose ps --format '{{.Service}} {{.Health}}'`);
  const services = ["netbox", "netbox-worker", "postgres", "redis", "redis-cache"];
  expect(states.split("\n").toSorted()).toEqual(services.map((each) => `${each} healthy`));
});

test("nothing of NetBox is compiled anew at each start", async () => {
  const compiled = await run(`docker compose exec -T netbox python -v -c '
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "netbox.settings"
import django
django.setup()' 2>&1 | grep '^# code object from /opt/netbox/venv/.*py$' | head -3`);
  expect(compiled).toBe("");
});

test("one logs in, in a browser, through the lesson's link", async () => {
  const { body } = await student.ask("POST", `/api/labs/${lab.id}/ports`, { port: 8000 });
  const page: Page = await browser.newPage();
  await page.goto(body.url);
  await page.goto(new URL("/login/", page.url()).href);
  await page.getByLabel("Username").fill("admin");
  await page.getByLabel("Password").fill("admin");
  await page.getByRole("button", { name: "Sign In" }).click();
  await page.getByRole("button", { name: "admin" }).first().waitFor();
  await page.goto(new URL("/core/background-queues/", page.url()).href);
  await page.getByRole("cell", { name: "default", exact: true }).waitFor();
  await page.close();
});

test("a file that compose can't read is named with its line", async () => {
  onTestFinished(async () => {
    await run("mv /tmp/docker-compose.override.yml . && docker compose config --quiet");
  });
  await run(`mv docker-compose.override.yml /tmp/
cat > docker-compose.override.yml <<'Y'
services:
  netbox-worker:
    deploy:
     replicas: 5
      restart: always
Y`);
  const { result } = await check();
  expect(failure(result, "five-to-ten-workers")).toMatch(
    /^1: .*compose can't read the project: docker-compose\.override\.yml:4: /,
  );
});

test("a stack that is still starting is waited for, and it is said for what", async () => {
  await run(`docker compose stop --timeout 1 netbox netbox-worker
    docker compose up --detach --no-deps --scale netbox-worker=5 netbox netbox-worker`);
  const { result, said } = await check();
  expect(said.join("\n")).toMatch(
    /^(NetBox is still starting: netbox: starting, postgres: healthy|\d workers serve the queues, \d more are starting)/,
  );
  expect(result.checks.filter(({ status }) => status !== "passed")).toEqual([]);
});

test("services of a student's own are no business of the check", async () => {
  await run(`docker run -d --name own-redis valkey/valkey
    docker run -d --name own-shell busybox sleep infinity`);
  expect((await check()).result.status).toBe("passed");
  await run("docker rm -f own-redis own-shell");
});

test("a worker that is killed in the middle of the check is told by its name", async () => {
  let killed: Promise<string> | undefined;
  const { result } = await check((text) => {
    // NetBox's own code loads in the probe: the workers have been counted, and no job runs yet.
    if (text === "NetBox gets ready to enqueue jobs") {
      killed ??= run("docker kill netbox-docker-netbox-worker-3");
    }
  });
  await killed;
  expect(failure(result, "jobs-side-by-side")).toMatch(
    /^4 at the same time: of 5 workers 1 ended while the jobs ran: netbox-docker-netbox-worker-3 /,
  );
  expect(await run("docker ps --all --quiet --filter label=patchbay.check")).toBe("");
});

import type { WrongAnswer } from "../../../core/exercise.ts";
import { FOLDER } from "./project.ts";
import { byHand, MANAGE, override, scaled, VOLUMES } from "./solutions.ts";

const COUNT = "five-to-ten-workers";
const JOBS = "jobs-side-by-side";

const wrong = (name: string, title: string, rejectedBy: string, script: string): WrongAnswer => ({
  name,
  title,
  rejectedBy,
  script,
});

/** A shell function that asks the queue's Redis. */
const REDIS = `
redis() { docker compose exec -T redis sh -c 'valkey-cli --no-auth-warning --pass "$REDIS_PASSWORD" "$@"' sh "$@" </dev/null; }
first=$(redis SMEMBERS rq:workers | head -1)
# An entry like the first worker's, under another name; more pairs of field and value change it.
ghost() {
  name=rq:worker:$1
  shift
  redis COPY "$first" "$name" REPLACE
  redis SADD rq:workers "$name"
  [ $# -eq 0 ] || redis HSET "$name" "$@"
}
`;

/** Containers of the worker that compose started. */
const LAST = "docker compose ps --quiet netbox-worker | tail -1";

export const wrongAnswers: readonly WrongAnswer[] = [
  wrong("four", "One short", COUNT, scaled(4)),
  wrong(
    "stopped",
    "One of five is stopped",
    COUNT,
    `${scaled(5)}docker exec $(${LAST}) sh -c 'kill -STOP $(pgrep -f "^/opt/netbox/venv/bin/python.*rqworker")'`,
  ),
  wrong(
    "paused",
    "The container of one of five is paused",
    COUNT,
    `${scaled(5)}docker pause $(${LAST})`,
  ),
  wrong(
    "suspended",
    "Five workers that were told to take no jobs",
    JOBS,
    `${scaled(5)}${REDIS}redis SET rq:suspended 1`,
  ),
  wrong(
    "ghosts",
    "Four workers, and entries in Redis that nobody stands behind",
    COUNT,
    `${scaled(4)}${REDIS}ghost ghost1\nghost ghost2 pid 4711\nghost ghost3 hostname nowhere ip_address 10.1.2.3:4`,
  ),
  wrong(
    "renamed",
    "Four workers, and a process that only bears the name, with an entry of its own",
    COUNT,
    `${scaled(4)}${REDIS}
docker compose exec --detach netbox-worker bash -c 'echo $$ >/tmp/renamed; exec -a "${MANAGE} rqworker" sleep infinity'
sleep 1
ghost ghost1 pid "$(docker compose exec -T netbox-worker cat /tmp/renamed)"`,
  ),
  wrong(
    "side-queue",
    "Four workers, and one that serves a single queue",
    COUNT,
    `${scaled(4)}docker compose exec --detach netbox-worker ${MANAGE} rqworker low`,
  ),
  wrong(
    "other-redis",
    "Four workers, and one at another Redis",
    COUNT,
    `${scaled(4)}${byHand(1, `--env REDIS_HOST=redis-cache --env REDIS_PASSWORD=$(sed -n s/^REDIS_PASSWORD=//p env/redis-cache.env) ${VOLUMES}`)}`,
  ),
  wrong(
    "without-volumes",
    "Five workers, of which three can't see the scripts",
    JOBS,
    `${scaled(2)}${byHand(3, "--volume $PWD/configuration:/etc/netbox/config:ro")}`,
  ),
  wrong(
    "eleven",
    "One too many",
    COUNT,
    `${override(`    command: ${MANAGE} rqworker-pool high default low --num-workers 11`)}docker compose up --detach --wait`,
  ),
  wrong(
    "file-that-cannot-be-read",
    "The right number in a file that compose refuses",
    COUNT,
    `cd ${FOLDER}
cat > docker-compose.override.yml <<'YAML'
services:
  netbox-worker:
    deploy:
     replicas: 5
      restart: always
YAML
docker compose up --detach || true
`,
  ),
  wrong(
    "queue-elsewhere",
    "Five workers wait at one Redis, and NetBox enqueues into another",
    COUNT,
    `${scaled(5)}
cat > docker-compose.override.yml <<YAML
services:
  netbox:
    ports: ["8000:8080"]
    environment:
      REDIS_HOST: redis-cache
      REDIS_PASSWORD: $(sed -n s/^REDIS_PASSWORD=//p env/redis-cache.env)
YAML
docker compose up --detach --wait --no-deps netbox
`,
  ),
  wrong(
    "netbox-stopped",
    "Five workers, and no NetBox",
    "stack-runs",
    `${scaled(5)}docker compose stop netbox`,
  ),
];

import type { Answer } from "../../../core/exercise.ts";
import { FOLDER } from "./project.ts";

export const MANAGE = "/opt/netbox/venv/bin/python /opt/netbox/netbox/manage.py";

/** The student's file, with what is given of the service netbox-worker and more services after it. */
export const override = (worker: string, more = ""): string => `cd ${FOLDER}
cat > docker-compose.override.yml <<'YAML'
services:
  netbox:
    ports:
      - "8000:8080"
  netbox-worker:
${worker}
${more}
YAML
`;

const UP = "docker compose up --detach --wait";

export const scaled = (count: number): string =>
  `cd ${FOLDER}\n${UP} --scale netbox-worker=${count}\n`;

/** What a container by hand needs to see of the one that compose started, whatever its number is. */
export const VOLUMES = "--volumes-from $(docker compose ps --quiet netbox-worker | head -1)";

/** Workers that compose knows nothing of, with the volumes of its own ones. */
export const byHand = (count: number, options = VOLUMES): string => `
for number in $(seq ${count}); do
  docker run --detach --name by-hand-$number --network netbox-docker_default --env-file env/netbox.env \\
    --user netbox:root ${options} docker.io/netboxcommunity/netbox:v4.7-5.1.1 ${MANAGE} rqworker
done
`;

export const solutions: readonly Answer[] = [
  {
    name: "replicas",
    title: "Replicas of the service, written down",
    script: override("    deploy:\n      replicas: 5") + UP,
  },
  {
    name: "one-container",
    title: "Five processes in one container, started by its shell",
    script:
      override(
        `    command:\n      - sh\n      - -c\n      - for i in 1 2 3 4 5; do ${MANAGE} rqworker & done; wait`,
      ) + UP,
  },
  {
    name: "pool",
    title: "A pool, which starts its workers itself",
    script: override(`    command: ${MANAGE} rqworker-pool high default low --num-workers 6`) + UP,
  },
  {
    name: "services",
    title: "Several services, each like the first",
    script:
      override(
        "    restart: unless-stopped",
        [2, 3, 4, 5]
          .map(
            (number) =>
              `  netbox-worker-${number}:\n    extends:\n      file: docker-compose.yml\n      service: netbox-worker`,
          )
          .join("\n"),
      ) + UP,
  },
  {
    name: "exec",
    title: "More processes in the container that runs",
    script: `cd ${FOLDER}
for i in 1 2 3 4; do docker compose exec --detach netbox-worker ${MANAGE} rqworker; done
`,
  },
  {
    name: "by-hand",
    title: "Containers without compose, beside the one that it started",
    script: `cd ${FOLDER}\n${byHand(4)}`,
  },
  {
    name: "scale",
    title: "Replicas by a flag, without a file",
    script: scaled(5),
  },
];

/**
 * Back to how the lab began, but for replicas of the worker that are as they were: starting those takes longest. What
 * answers change of the project is one file.
 */
export const between = `cd ${FOLDER}
redis_says() { docker compose exec -T redis sh -c 'valkey-cli --no-auth-warning --pass "$REDIS_PASSWORD" "$@"' sh "$@" </dev/null; }
redis() { redis_says "$@" >/dev/null; }
docker ps --quiet --filter status=paused | xargs --no-run-if-empty docker unpause >/dev/null
pkill -CONT -f rqworker || true
docker ps --all --format '{{.ID}} {{.Label "com.docker.compose.project"}}' | awk 'NF == 1 { print $1 }' | xargs --no-run-if-empty docker rm --force >/dev/null
for worker in $(docker ps --all --quiet --filter label=com.docker.compose.service=netbox-worker); do
  # One of a container's workers has its init above it; whoever else has no worker above was given to it by exec.
  roots=$(docker top "$worker" -o pid,ppid,args | grep 'manage.py rqworker' |
    awk '{ own[$1] = $2 } END { for (pid in own) if (!(own[pid] in own)) count++; print count + 0 }')
  [ "$roots" -le 1 ] || docker rm --force "$worker" >/dev/null
done
count=$(docker ps --quiet --filter label=com.docker.compose.service=netbox-worker | wc -l)
[ "$count" -ge 1 ] || count=1
[ "$count" -le 5 ] || count=5
cat > docker-compose.override.yml <<'YAML'
services:
  netbox:
    ports:
      - "8000:8080"
YAML
docker compose up --detach --wait --remove-orphans --scale netbox-worker="$count"
redis DEL rq:suspended
for entry in $(redis_says SMEMBERS rq:workers); do
  docker ps --quiet | grep -q "^$(redis_says HGET "$entry" hostname)" || { redis DEL "$entry"; redis SREM rq:workers "$entry"; }
done
for ghost in 1 2 3; do redis DEL rq:worker:ghost$ghost; redis SREM rq:workers rq:worker:ghost$ghost; done
`;

import { z } from "zod";
import type { LabHost } from "../../../sandbox/index.ts";
import { serviceContainers } from "../../checks/compose-project.ts";
import type { RunningContainer } from "../../checks/containers.ts";
import { askFromOutside, HOST_ADDRESS, whyNot } from "../../checks/published-port.ts";
import { check, type Exercise, fail, pass } from "../../core/exercise.ts";
import { counted, en, ru, type Text } from "../../core/text.ts";
import { ask, EngineRefusal } from "../../facts/inner-engine.ts";
import { firstHost, list } from "../../facts/model.ts";

const FOLDER = "/root/compose/build-args";
const BASE = "python";
const VERSION_FILE = "/app/version";
const IMAGE = z.object({ RootFS: z.object({ Layers: z.array(z.string()) }) });

const runs = check<RunningContainer>({
  id: "my-server-runs",
  title: {
    en: "Service my-server of a compose file runs",
    ru: "Сервис my-server из файла compose работает",
  },
  async run({ facts }) {
    const host = firstHost(await facts());
    const found = serviceContainers(host, "my-server").find(
      (each) => each.running && each.namespace,
    );
    if (found?.namespace) return pass({ ...found, namespace: found.namespace }, found.name);
    const names = list(host.containers.map(({ name }) => name));
    return fail(
      {
        en: "a running container of service my-server",
        ru: "работающий контейнер сервиса my-server",
      },
      { en: en`containers: ${names}`, ru: ru`контейнеры: ${names}` },
      "docker compose up -d --build",
    );
  },
});

const built = check({
  id: "built-from-python",
  title: {
    en: "Its image is built on python:3.13-slim, which build argument FROM names",
    ru: "Его образ собран на основе python:3.13-slim, которую назвал аргумент сборки FROM",
  },
  needs: { server: runs },
  async run({ lab, server, signal }) {
    const host = lab.host();
    const layersOf = async (path: string) => {
      const parsed = IMAGE.safeParse(await ask(host, { path, signal }));
      return parsed.success ? parsed.data.RootFS.Layers : [];
    };
    const image = z.object({ Image: z.string() });
    const inspected = image.parse(
      await ask(host, { path: `/containers/${server.id}/json`, signal }),
    );
    // By its id: the name may be another image's by now.
    const { id: base, loaded } = await host.trustedImage(BASE);
    try {
      const own = await layersOf(`/images/${inspected.Image}/json`);
      const below = await layersOf(`/images/${base}/json`);
      const expected = {
        en: "python:3.13-slim's layers, and at least one of its own on top",
        ru: "слои python:3.13-slim и поверх них хотя бы один свой",
      };
      const onTop =
        below.every((layer, index) => own[index] === layer) && own.length > below.length;
      if (onTop) {
        const added = own.length - below.length;
        const layers = counted(added, "слой", "слоя", "слоёв");
        return pass(undefined, { en: `${added} layers on top`, ru: `сверху ${layers}` });
      }
      const hint = {
        en: "build: context: ./server, and args: with FROM; docker compose build --no-cache builds again.",
        ru: "build: context: ./server и args: с FROM; docker compose build --no-cache соберёт заново.",
      };
      const layers = counted(own.length, "слоя", "слоёв", "слоёв");
      const actual = {
        en: `an image of ${own.length} layers that is not built on it`,
        ru: `образ из ${layers}, собранный не на этой основе`,
      };
      return fail(expected, actual, hint);
    } catch (error) {
      if (!(error instanceof EngineRefusal)) throw error;
      return fail({ en: "an image in the engine", ru: "образ есть в движке" }, error.message);
    } finally {
      if (loaded) await ask(host, { method: "DELETE", path: `/images/${base}?force=1` });
    }
  },
});

const changes = z.array(z.object({ Path: z.string() })).nullable();

/** In words, why /app/version of the container is another one than the image's. */
async function notOfTheImage(
  host: LabHost,
  { id, mounts }: RunningContainer,
  signal: AbortSignal,
): Promise<Text | undefined> {
  const mount = mounts.find(({ target }) => `${VERSION_FILE}/`.startsWith(`${target}/`));
  if (mount !== undefined) {
    const { source, target } = mount;
    return {
      en: `${source} of the host is mounted at ${target}`,
      ru: `в ${target} смонтирован ${source} хоста`,
    };
  }
  const changed = changes.parse(await ask(host, { path: `/containers/${id}/changes`, signal }));
  const written = changed?.some(({ Path }) => Path === VERSION_FILE);
  return written
    ? {
        en: "it was written in the running container, and goes with it",
        ru: "он записан в работающем контейнере и исчезнет вместе с ним",
      }
    : undefined;
}

const version = check({
  id: "version-argument",
  title: {
    en: "Build argument VERSION is 2.0, which the image keeps and the app says",
    ru: "Аргумент сборки VERSION равен 2.0: его хранит образ и называет приложение",
  },
  needs: { server: runs },
  async run({ lab, server, signal }) {
    const { VERSION: set } = await lab.host().hand().environment(server.pid, { signal });
    const written = await lab.host().hand().readFile("/app/version", { pid: server.pid, signal });
    const text = "text" in written ? written.text.trim() : "";
    if (text === "2.0") {
      const later = await notOfTheImage(lab.host(), server, signal);
      if (later === undefined) return pass();
      return fail(
        {
          en: "the image's own /app/version says 2.0",
          ru: "2.0 стоит в /app/version самого образа",
        },
        later,
      );
    }
    const late: Text =
      set === undefined
        ? ""
        : {
            en: `, and VERSION=${set} was set when it started`,
            ru: `, а VERSION=${set} задана при запуске`,
          };
    const actual =
      text === ""
        ? { en: en`the image has no /app/version${late}`, ru: ru`в образе нет /app/version${late}` }
        : { en: `/app/version says ${text}`, ru: `в /app/version стоит ${text}` };
    return fail(
      { en: "/app/version in the image says 2.0", ru: "в /app/version образа стоит 2.0" },
      actual,
      {
        en: 'args: VERSION: "2.0"; a change of them needs docker compose build.',
        ru: 'args: VERSION: "2.0"; после их изменения нужен docker compose build.',
      },
    );
  },
});

const answers = check({
  id: "answers",
  title: { en: "Port 8080 of the host leads to it", ru: "Порт 8080 хоста ведёт к нему" },
  needs: { server: runs },
  async run({ lab, server, signal }) {
    const answer = await askFromOutside(lab, 8080, server, signal);
    if (answer.arrived && answer.status !== null) return pass();
    return fail(
      {
        en: `${HOST_ADDRESS}:8080 is answered by my-server`,
        ru: `на ${HOST_ADDRESS}:8080 отвечает my-server`,
      },
      whyNot(answer),
    );
  },
});

const file = (args: string, service = "my-server") =>
  `cd ${FOLDER} && cat > compose.yaml <<'Y'
services:
  ${service}:
    build:
      context: ./server
      args: ${args}
    ports: ["8080:8080"]
Y
docker compose up -d --build && sleep 2\n`;

export const buildArgs: Exercise = {
  id: "compose/build-args",
  title: { en: "An image built with arguments", ru: "Образ, собранный с аргументами" },
  lesson: "compose",
  lab: "compose",
  requires: [],
  checks: [runs, built, version, answers],
  solutions: [
    {
      name: "map",
      title: "Arguments as a map",
      script: file('{FROM: "python:3.13-slim", VERSION: "2.0"}'),
    },
    {
      name: "list",
      title: "Arguments as a list",
      script: file('["FROM=python:3.13-slim", "VERSION=2.0"]'),
    },
    {
      name: "from-environment",
      title: "Arguments from .env, and a name for the image",
      script: `printf 'PYTHON=python:slim\\nRELEASE=2.0\\n' > ${FOLDER}/.env\n${file('{FROM: "$PYTHON", VERSION: "$RELEASE"}').replace("    build:", "    image: mine:2.0\n    build:")}`,
    },
  ],
  wrongAnswers: [
    {
      name: "not-built",
      title: "The ready image in its place",
      rejectedBy: "version-argument",
      script: `cd ${FOLDER} && printf 'services: {my-server: {image: server, ports: ["8080:8080"]}}\\n' > compose.yaml && docker compose up -d && sleep 2`,
    },
    {
      name: "other-version",
      title: "Another version",
      rejectedBy: "version-argument",
      script: file('{FROM: "python:3.13-slim", VERSION: "1.0"}'),
    },
    {
      name: "written-later",
      title: "The running container's file is changed",
      rejectedBy: "version-argument",
      script: `${file('{FROM: "python:3.13-slim", VERSION: "1.0"}')}docker compose exec -T my-server sh -c 'echo 2.0 > /app/version'`,
    },
    {
      name: "mounted",
      title: "A file of the host is mounted over the image's",
      rejectedBy: "version-argument",
      script: `echo 2.0 > ${FOLDER}/version\n${file('{FROM: "python:3.13-slim", VERSION: "1.0"}').replace("    ports:", '    volumes: ["./version:/app/version"]\n    ports:')}`,
    },
    {
      name: "environment",
      title: "The version as environment of the container",
      rejectedBy: "version-argument",
      script: file('{FROM: "python:3.13-slim"}').replace(
        "    ports:",
        '    environment: {VERSION: "2.0"}\n    ports:',
      ),
    },
    {
      name: "other-base",
      title: "Built on another image",
      rejectedBy: "built-from-python",
      script: `sed -i 's/^CMD.*/CMD ["httpd", "-f", "-p", "8080"]/' ${FOLDER}/server/Dockerfile\n${file('{FROM: busybox, VERSION: "2.0"}')}`,
    },
    {
      name: "changed-not-built",
      title: "The argument was changed, and nothing was built again",
      rejectedBy: "version-argument",
      script: `${file('{FROM: "python:3.13-slim", VERSION: "1.0"}')}sed -i 's/1\\.0/2.0/' compose.yaml; docker compose up -d && sleep 1`,
    },
    {
      name: "other-service",
      title: "The service has another name",
      rejectedBy: "my-server-runs",
      script: file('{FROM: "python:3.13-slim", VERSION: "2.0"}', "server"),
    },
    {
      name: "no-port",
      title: "No port",
      rejectedBy: "answers",
      script: file('{FROM: "python:3.13-slim", VERSION: "2.0"}').replace(
        '    ports: ["8080:8080"]\n',
        "",
      ),
    },
  ],
};

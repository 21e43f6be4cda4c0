import { type Check, check, fail, pass } from "../core/exercise.ts";
import { en, ru } from "../core/text.ts";
import { type ContainerModel, firstHost, list, type NamespaceModel } from "../facts/model.ts";

/** A container whose process the kernel knows. */
export type RunningContainer = ContainerModel & { readonly namespace: NamespaceModel };

/** A check that a container of that name runs; its value is the container. `start` is a command that starts one. */
export const containerRuns = (name: string, start: string): Check<RunningContainer> =>
  check<RunningContainer>({
    id: `${name}-runs`,
    title: { en: `Container ${name} runs`, ru: `Контейнер ${name} работает` },
    async run({ facts }) {
      const { containers } = firstHost(await facts());
      const expected = { en: `a running container ${name}`, ru: `работающий контейнер ${name}` };
      const found = containers.find((container) => container.name === name);
      if (found === undefined) {
        const names = containers.map((container) => container.name);
        return fail(
          expected,
          { en: en`containers: ${list(names)}`, ru: ru`контейнеры: ${list(names)}` },
          { en: `Start it: ${start}`, ru: `Запустите его: ${start}` },
        );
      }
      if (!found.running) {
        return fail(
          expected,
          { en: `${name} is there, but stopped`, ru: `${name} есть, но остановлен` },
          {
            en: `See why it ended with docker logs ${name}; a container lives as long as its command.`,
            ru: `Почему он завершился, покажет docker logs ${name}; контейнер живёт, пока работает его команда.`,
          },
        );
      }
      if (found.paused) {
        return fail(
          expected,
          { en: `${name} is paused`, ru: `${name} приостановлен` },
          {
            en: `Let it go on: docker unpause ${name}`,
            ru: `Пусть работает дальше: docker unpause ${name}`,
          },
        );
      }
      if (found.namespace === null) {
        return fail(expected, {
          en: `the kernel knows no process ${found.pid} of this container`,
          ru: `ядро не знает у этого контейнера процесса ${found.pid}`,
        });
      }
      return pass({ ...found, namespace: found.namespace });
    },
  });

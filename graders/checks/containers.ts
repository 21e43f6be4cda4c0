import { type Check, check, fail, pass } from "../core/exercise.ts";
import { type ContainerModel, firstHost, list, type NamespaceModel } from "../facts/model.ts";

/** A container whose process the kernel knows. */
export type RunningContainer = ContainerModel & { readonly namespace: NamespaceModel };

/** A check that a container of that name runs; its value is the container. `start` is a command that starts one. */
export const containerRuns = (name: string, start: string): Check<RunningContainer> =>
  check<RunningContainer>({
    id: `${name}-runs`,
    title: `Container ${name} runs`,
    async run({ facts }) {
      const { containers } = firstHost(await facts());
      const expected = `a running container ${name}`;
      const found = containers.find((container) => container.name === name);
      if (found === undefined) {
        const names = containers.map((container) => container.name);
        return fail(expected, `containers: ${list(names)}`, `Start it: ${start}`);
      }
      if (!found.running) {
        const hint = `See why it ended with docker logs ${name}; a container lives as long as its command.`;
        return fail(expected, `${name} is there, but stopped`, hint);
      }
      if (found.paused) {
        return fail(expected, `${name} is paused`, `Let it go on: docker unpause ${name}`);
      }
      if (found.namespace === null) {
        return fail(expected, `the kernel knows no process ${found.pid} of this container`);
      }
      return pass({ ...found, namespace: found.namespace });
    },
  });

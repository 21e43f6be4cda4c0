import { randomBytes } from "node:crypto";
import type { LabHost } from "../../sandbox/index.ts";
import type { Text } from "../core/text.ts";
import { ask, create, EngineRefusal, inspectContainer } from "../facts/inner-engine.ts";

/** A container that the grader starts, of an image that the student can't forge. */
export interface FreshContainer {
  readonly id: string;
  readonly pid: number;
  /** Set where the image had to be loaded for it. */
  readonly loadedImage: string | undefined;
}

/**
 * Starts a container in the network and in nothing else; the engine removes it after a minute at the latest. `refused`
 * says in words why the engine did not: no address is left, say.
 */
export async function startFresh(
  host: LabHost,
  networkId: string,
  exercise: string,
): Promise<FreshContainer | { readonly refused: Text }> {
  const { id: Image, loaded } = await host.trustedImage("busybox");
  const loadedImage = loaded ? Image : undefined;
  const name = `patchbay-check-${randomBytes(4).toString("hex")}`;
  const body = {
    Image,
    Cmd: ["sleep", "60"],
    Labels: { "patchbay.check": exercise },
    HostConfig: { NetworkMode: networkId, AutoRemove: true },
  };
  const path = `/containers/create?name=${name}`;
  try {
    const id = await create(host, path, body);
    await ask(host, { method: "POST", path: `/containers/${id}/start`, timeoutMs: 10_000 });
    const { State } = await inspectContainer(host, id);
    return { id, pid: State.Pid, loadedImage };
  } catch (error) {
    await removeFresh(host, { id: name, loadedImage });
    if (!(error instanceof EngineRefusal)) throw error;
    const { message } = error;
    return {
      refused: { en: `the engine refused it: ${message}`, ru: `движок отказал: ${message}` },
    };
  }
}

export async function removeFresh(
  host: LabHost,
  { id, loadedImage }: Pick<FreshContainer, "id" | "loadedImage">,
): Promise<void> {
  const remove = async (path: string) => {
    try {
      await ask(host, { method: "DELETE", path });
    } catch (error) {
      // Gone already, or going: the container removes itself.
      if (!(error instanceof EngineRefusal) || ![404, 409].includes(error.status)) throw error;
    }
  };
  await remove(`/containers/${id}?force=1&v=1`);
  if (loadedImage !== undefined) await remove(`/images/${loadedImage}?force=1`);
}

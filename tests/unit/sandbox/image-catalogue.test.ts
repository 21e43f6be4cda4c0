import { expect, test } from "vitest";
import { readRecipes } from "../../../sandbox/docker/image-catalogue.ts";

const tags = (environment: NodeJS.ProcessEnv) =>
  Object.fromEntries(readRecipes(environment).map(({ name, tag }) => [name, tag]));

test("a recipe's tag names its content, and no two recipes share one", () => {
  expect(tags({})).toEqual(tags({}));
  expect(new Set(Object.values(tags({}))).size).toBe(Object.keys(tags({})).length);
  for (const tag of Object.values(tags({})))
    expect(tag).toMatch(/^patchbay\/image-[a-z]+:[0-9a-f]{12}$/);
});

test("recipes that others build on come first", () => {
  const names = readRecipes({}).map(({ name }) => name);
  expect(names.indexOf("python")).toBeLessThan(names.indexOf("server"));
  expect(names.indexOf("busybox")).toBeLessThan(names.indexOf("client"));
});

test("a registry's image stands in for a recipe, and changes that one tag alone", () => {
  const changed = tags({ PATCHBAY_IMAGE_POSTGRES: "docker.io/postgres:17" });
  const { postgres, ...others } = tags({});
  const { postgres: stood, ...same } = changed;
  expect(same).toEqual(others);
  expect(stood).not.toBe(postgres);
});

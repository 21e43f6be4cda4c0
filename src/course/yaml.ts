import { parse, YAMLParseError } from "yaml";
import { z } from "zod";

/** Data of a YAML file. Throws an error with every mistake, where it is and how to mend it. */
export function parseYaml<T>(file: string, text: string, schema: z.ZodType<T>): T {
  let data: unknown;
  try {
    data = parse(text);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw new Error(`${file} is no YAML: ${error.message.trimEnd()}`, { cause: error });
  }
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  throw new Error(`${file} is wrong:\n${z.prettifyError(parsed.error)}`);
}

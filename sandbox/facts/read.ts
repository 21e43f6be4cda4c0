import type { SandboxErrorCode } from "../errors.ts";
import { type EngineAnswers, readAnswers } from "./engine-answers.ts";
import { parseSaved } from "./iptables-save.ts";
import type { FilterTable, HostFacts, MissingFacts, NamespaceFacts } from "./schema.ts";

/** A namespace as the trusted hand tells it: as in the facts, but for rules, which are what its tools printed. */
interface ToldNamespace extends Omit<NamespaceFacts, "netfilter"> {
  readonly netfilter: {
    readonly tables: NonNullable<NamespaceFacts["netfilter"]>["tables"];
    readonly ruleset: {
      readonly nft: string | null;
      readonly iptables: readonly {
        readonly family: FilterTable["family"];
        readonly backend: FilterTable["backend"];
        readonly saved: string;
      }[];
    } | null;
  } | null;
}

/** What the trusted hand answers to `facts`: see its `facts.py`. */
export interface ToldHost {
  readonly namespace: number;
  readonly namespaces: readonly ToldNamespace[];
  readonly named: HostFacts["named"];
  /** Inode of the namespace that a running container is in, by its id; null where the kernel knows no such process of it. */
  readonly spaces: Readonly<Record<string, number | null>>;
  /** Null where there is no engine to ask. */
  readonly engine: EngineAnswers | null;
  readonly missing: readonly MissingFacts[];
}

function readNamespace(told: ToldNamespace): NamespaceFacts {
  const { netfilter, ...rest } = told;
  if (netfilter === null) return { ...rest, netfilter: null };
  const { tables, ruleset } = netfilter;
  if (ruleset === null) {
    const failed = rest.missing.some(({ source }) => source === "netfilter");
    return { ...rest, netfilter: failed ? null : { tables, ruleset: null } };
  }
  const nft: Record<string, unknown>[] = [];
  if (ruleset.nft !== null && ruleset.nft !== "") {
    nft.push(...(JSON.parse(ruleset.nft) as { nftables: Record<string, unknown>[] }).nftables);
  }
  const iptables = ruleset.iptables.flatMap(({ family, backend, saved }) =>
    parseSaved(saved, family, backend),
  );
  return { ...rest, netfilter: { tables, ruleset: { nft, iptables } } };
}

/** The facts of a host out of what the trusted hand brought from it. */
export function readHost(name: string, told: ToldHost): HostFacts {
  const missing = [...told.missing];
  const note = (source: string, code: SandboxErrorCode, why: string) =>
    missing.push({ source, code, why });
  const namespaces = told.namespaces.map((each): NamespaceFacts => {
    try {
      return readNamespace(each);
    } catch (error) {
      // A name that JSON of nft can't tell.
      if (!(error instanceof SyntaxError)) throw error;
      const why = `nft -j list ruleset: ${error.message}`;
      const told = { source: "netfilter", code: "probe-failed", why };
      return { ...each, netfilter: null, missing: [...each.missing, told] };
    }
  });
  return {
    name,
    namespace: told.namespace,
    namespaces,
    named: told.named,
    ...readAnswers(told.engine, told.spaces, note),
    missing,
  };
}

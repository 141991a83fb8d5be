import { z } from "zod";
import type { PathFilterOptions } from "./path-filter.ts";

const leftOut = z.object({ apart: z.array(z.string()), exclude: z.array(z.string()), excludeBase: z.string() });

/** Fact of a tree's description: what the configuration of that time left out of the backup. */
export function leftOutFact(options: PathFilterOptions): { readonly leftOut: z.input<typeof leftOut> } {
  const { apart = [], exclude = [], excludeBase = "" } = options;
  return { leftOut: { apart: [...apart], exclude: [...exclude], excludeBase } };
}

/**
 * What a backup left out of a tree, for a restore to leave it as it is, whatever the configuration says by now: the backup
 * cannot bring it back. Nothing where the backup does not say. `below`: the folder of the tree that is restored alone, or "".
 */
export function leftOutOf(facts: Readonly<Record<string, unknown>>, below: string): PathFilterOptions {
  const { data } = leftOut.safeParse(facts["leftOut"]);
  if (data === undefined) return {};
  if (below === "") return data;
  const { apart, exclude, excludeBase } = data;
  const inside = `${below}/`;
  return {
    apart: apart.flatMap((path) => (path.startsWith(inside) ? path.slice(inside.length) : [])),
    exclude,
    excludeBase: excludeBase === "" ? below : `${excludeBase}/${below}`,
  };
}

import { lstatSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { HoldfastError, type SourceId } from "../base/index.ts";

/**
 * Refuses a part of a tree that a link would lead out of it: `base` may be reached through links, since the operator
 * named it, but whoever may write in it could have put a link at or above `path`.
 * @throws HoldfastError ENTRY_UNSAFE
 */
export function refuseLinksInTheWay(source: SourceId, base: string, path: string): void {
  let place = base;
  for (const name of relative(base, path).split(sep)) {
    place = join(place, name);
    const found = lstatSync(place, { throwIfNoEntry: false });
    if (found === undefined) return;
    if (!found.isSymbolicLink()) continue;
    throw new HoldfastError(
      "ENTRY_UNSAFE",
      `${place} is a link, and a part of ${source} is not restored through one.`,
      {
        facts: { source, path: place },
        remedy: "Remove the link, restore the folder that it is in, or restore the part with --into DIRECTORY.",
      },
    );
  }
}

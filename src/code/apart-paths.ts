import { realpathSync } from "node:fs";
import { isAbsolute, relative } from "node:path";
import { systemErrorCode } from "../base/index.ts";

export const gitFolder = ".git";

/**
 * What in the code's folder is not code: ".git", and the mounts and services' files in it. Paths below the root.
 * @param mounts absolute paths of those, in the code's folder or elsewhere
 */
export function apartPaths(root: string, mounts: readonly string[]): string[] {
  const roots = new Set([root, resolved(root)]);
  const apart = new Set([gitFolder]);
  for (const mount of mounts) {
    for (const path of [mount, resolved(mount)]) {
      for (const base of roots) {
        const below = relative(base, path);
        if (below !== "" && below !== ".." && !below.startsWith("../") && !isAbsolute(below)) apart.add(below);
      }
    }
  }
  return [...apart];
}

/** A folder that is not there has only the one name. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return path;
  }
}

import { joinEntryPath } from "../component/index.ts";
import { DirectoryChain, splitLastName } from "./directory-chain.ts";
import { LoopBreather } from "./event-loop.ts";
import { isStagingName, type PathFilter } from "./path-filter.ts";
import { isGone } from "./scan.ts";
import { entryType, TreeDirectory } from "./tree-directory.ts";

/**
 * The directories of a live tree that hold, at any depth, something that stays in a restore: what the filter leaves out
 * and is there. Latin1 text of paths; the root, "", is among them if any is. Reads names only; memory is proportional to
 * the directories found and one chain of names.
 */
export async function findKeepers(liveRoot: Buffer, filter: PathFilter): Promise<Set<string>> {
  const keepers = new Set<string>();
  const root = TreeDirectory.openRoot(liveRoot);
  try {
    if (filter.hasPatterns) await searchTree(root, filter, keepers);
    else searchPaths(root, filter.apartPaths, keepers);
  } finally {
    root.close();
  }
  return keepers;
}

function searchPaths(root: TreeDirectory, paths: readonly string[], keepers: Set<string>): void {
  const chain = new DirectoryChain(root);
  try {
    for (const path of paths) {
      const { parent, name } = splitLastName(Buffer.from(path, "latin1"));
      if (chain.open(parent)?.find(name) !== undefined) addParents(path, keepers);
    }
  } finally {
    chain.close();
  }
}

/** The directories that these paths are in: latin1 text, the root as "". */
export function parentsOf(paths: readonly string[]): Set<string> {
  const parents = new Set<string>();
  for (const path of paths) addParents(Buffer.from(path).toString("latin1"), parents);
  return parents;
}

function addParents(path: string, keepers: Set<string>): void {
  for (let at = path.lastIndexOf("/"); at !== -1; at = path.slice(0, at).lastIndexOf("/"))
    keepers.add(path.slice(0, at));
  keepers.add("");
}

async function searchTree(root: TreeDirectory, filter: PathFilter, keepers: Set<string>): Promise<void> {
  const breather = new LoopBreather();
  const stack = [{ path: Buffer.alloc(0) as Buffer, directory: root, names: root.names(), at: 0 }];
  try {
    for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
      if (breather.due) await breather.breathe();
      const name = level.names[level.at];
      if (name === undefined) {
        stack.pop();
        if (level.directory !== root) level.directory.close();
        continue;
      }
      level.at += 1;
      if (isStagingName(name)) continue;
      const path = joinEntryPath(level.path, name);
      if (filter.excludes(path)) {
        addParents(path.toString("latin1"), keepers);
        continue;
      }
      const found = level.directory.find(name);
      if (found === undefined || entryType(found) !== "dir") continue;
      try {
        const directory = level.directory.openChild(name);
        stack.push({ path, directory, names: directory.names(), at: 0 });
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }
  } finally {
    for (const { directory } of stack) if (directory !== root) directory.close();
  }
}

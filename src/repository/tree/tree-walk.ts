import { HoldfastError, throwIfAborted } from "../../base/index.ts";
import { type EntryPath, joinEntryPath, splitEntryPath, type StoredEntry } from "../../component/index.ts";
import type { HexId, TreeChild } from "../repository.ts";
import type { TreeReader } from "./tree-reader.ts";

/** Deeper than any file system lets paths be; only a forged tree goes on. */
const maxDepth = 4096;
/** Directories that are loaded ahead of the walk. */
const ahead = 8;

/** The child at `path` below the directory `tree`; undefined if there is none. The path has at least one name. */
export async function findChild(trees: TreeReader, tree: HexId, path: EntryPath): Promise<TreeChild | undefined> {
  let directory: HexId | undefined = tree;
  let found: TreeChild | undefined;
  for (const name of splitEntryPath(path)) {
    if (directory === undefined) return undefined;
    found = await trees.child(directory, name);
    if (found === undefined) return undefined;
    directory = found.subtree;
  }
  return found;
}

/** The child as an entry at `path`. */
export function entryAt(path: EntryPath, { metadata, content }: TreeChild): StoredEntry {
  return content === undefined ? { path, metadata } : { path, metadata, content };
}

interface WalkedDirectory {
  readonly id: HexId;
  readonly path: EntryPath;
  readonly children: readonly TreeChild[];
  at: number;
  ahead: number;
}

/**
 * Everything below the directory `tree`, in the order of `compareEntryPaths`, paths beginning with `base`.
 * @throws HoldfastError ENTRY_UNSAFE for a tree that contains itself, REPOSITORY_DAMAGED, STORAGE_*, INTERRUPTED
 */
export async function* walkTree(
  trees: TreeReader,
  tree: HexId,
  base: EntryPath,
  signal?: AbortSignal,
): AsyncGenerator<StoredEntry> {
  const stack: WalkedDirectory[] = [];
  const open = async (id: HexId, path: EntryPath): Promise<void> => {
    if (stack.length >= maxDepth) {
      throw new HoldfastError("ENTRY_UNSAFE", `The tree ${tree} has directories more than ${maxDepth} deep.`);
    }
    stack.push({ id, path, children: await trees.children(id), at: 0, ahead: 0 });
  };
  await open(tree, base);
  for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
    throwIfAborted(signal);
    const child = level.children[level.at];
    if (child === undefined) {
      stack.pop();
      trees.release(level.id);
      continue;
    }
    level.at += 1;
    const path = joinEntryPath(level.path, child.name);
    if (child.subtree !== undefined) {
      trees.prefetch(child.subtree);
      loadAhead(trees, level);
    }
    yield entryAt(path, child);
    if (child.subtree !== undefined) await open(child.subtree, path);
  }
}

function loadAhead(trees: TreeReader, level: WalkedDirectory): void {
  level.ahead = Math.max(level.ahead, level.at);
  const end = Math.min(level.at + ahead, level.children.length);
  for (; level.ahead < end; level.ahead += 1) {
    const next = level.children[level.ahead]?.subtree;
    if (next !== undefined) trees.prefetch(next);
  }
}

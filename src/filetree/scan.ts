import { messageOf, systemErrorCode, throwIfAborted } from "../base/index.ts";
import { type EntryMetadata, type EntryPath, joinEntryPath } from "../component/index.ts";
import { LoopBreather } from "./event-loop.ts";
import { PathFilter } from "./path-filter.ts";
import type { EntryStat } from "./posix/directory-calls.ts";
import { OwnerNames } from "./posix/owner-names.ts";
import { entryType, TreeDirectory } from "./tree-directory.ts";

/** Something in the tree that could not be read: its code is the system's. */
export interface Unreadable {
  readonly path: EntryPath;
  readonly code: string;
  readonly message: string;
}

export interface ScannedEntry {
  readonly path: EntryPath;
  readonly metadata: EntryMetadata;
  readonly sizeBytes: number;
  /** Bytes that the file takes on its disk; less than `sizeBytes` for a sparse one. */
  readonly diskBytes: number;
}

export interface ScanOptions {
  readonly filter?: PathFilter;
  readonly owners?: OwnerNames;
  /** Where the scanned directory stands below the root of its tree; its entries' paths start with it. Default: the root. */
  readonly below?: EntryPath;
  /** Called when a directory is open and before its names are read. */
  readonly onDirectory?: (path: EntryPath, directory: TreeDirectory, stat: EntryStat) => void;
  /** Called for what is left out because it cannot be read. A directory whose names cannot be read still has its entry. */
  readonly onUnreadable: (unreadable: Unreadable) => void;
  /** Called for a directory that is the root of another file system; it is scanned all the same. */
  readonly onOtherFileSystem?: (path: EntryPath) => void;
  readonly signal?: AbortSignal;
}

/** What stands for an entry of a scan: its size is kept apart because directories have none. */
export function scannedEntry(path: EntryPath, metadata: EntryMetadata, stat: EntryStat): ScannedEntry {
  const isFile = metadata.type === "file";
  return {
    path,
    metadata,
    sizeBytes: isFile ? Number(stat.size) : 0,
    diskBytes: isFile ? Number(stat.blocks) * 512 : 0,
  };
}

/** A file that was there a moment ago and is no more: the tree is live. */
export const isGone = (error: unknown): boolean => {
  const code = systemErrorCode(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "ESTALE";
};

/**
 * Yields what is in a directory, itself first, in the order of `compareEntryPaths`. Memory is proportional to the names
 * of one chain of directories. Links are never followed, sockets are left out. What vanishes while it runs is left out.
 */
export async function* scanTree(root: TreeDirectory, options: ScanOptions): AsyncGenerator<ScannedEntry> {
  const filter = options.filter ?? new PathFilter();
  const owners = options.owners ?? new OwnerNames();
  const breather = new LoopBreather();
  const below = options.below ?? Buffer.alloc(0);
  const stack: { path: EntryPath; directory: TreeDirectory; names: Buffer[]; at: number; device: bigint }[] = [];
  const empty = Buffer.alloc(0);

  const enter = (path: EntryPath, directory: TreeDirectory, stat: EntryStat): void => {
    let names: Buffer[] = [];
    try {
      options.onDirectory?.(path, directory, stat);
      names = directory.names();
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error;
      options.onUnreadable({ path, code: systemErrorCode(error) ?? "EIO", message: messageOf(error) });
    }
    stack.push({ path, directory, names, at: 0, device: stat.dev });
  };

  try {
    const rootStat = root.lstat(empty);
    enter(below, root, rootStat);
    yield scannedEntry(below, root.metadata(empty, rootStat, owners), rootStat);
    for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
      const name = level.names[level.at];
      if (name === undefined) {
        stack.pop();
        if (level.directory !== root) level.directory.close();
        continue;
      }
      level.at += 1;
      if (breather.due) {
        await breather.breathe();
        throwIfAborted(options.signal);
      }
      const path = joinEntryPath(level.path, name);
      if (filter.excludes(path)) continue;
      let entry: ScannedEntry;
      let opened: { directory: TreeDirectory; stat: EntryStat } | undefined;
      try {
        const stat = level.directory.lstat(name);
        const type = entryType(stat);
        if (type === "socket") continue;
        if (type === "dir") {
          const directory = openDirectory(level.directory, name, path, options);
          // The metadata must be of what was opened, not of what stood at the name a moment before.
          if (directory !== undefined) opened = { directory, stat: directory.lstat(empty) };
        }
        const current = opened?.stat ?? stat;
        entry = scannedEntry(path, level.directory.metadata(name, current, owners), current);
      } catch (error) {
        opened?.directory.close();
        if (isGone(error)) continue;
        if (systemErrorCode(error) === undefined) throw error;
        options.onUnreadable({ path, code: systemErrorCode(error) ?? "EIO", message: messageOf(error) });
        continue;
      }
      if (opened !== undefined) {
        if (opened.stat.dev !== level.device) options.onOtherFileSystem?.(path);
        enter(path, opened.directory, opened.stat);
      }
      yield entry;
    }
  } finally {
    for (const { directory } of stack) if (directory !== root) directory.close();
  }
}

function openDirectory(
  parent: TreeDirectory,
  name: Buffer,
  path: EntryPath,
  options: ScanOptions,
): TreeDirectory | undefined {
  try {
    return parent.openChild(name);
  } catch (error) {
    if (systemErrorCode(error) !== "EACCES" && systemErrorCode(error) !== "EPERM") throw error;
    options.onUnreadable({ path, code: systemErrorCode(error) ?? "EACCES", message: messageOf(error) });
    return undefined;
  }
}

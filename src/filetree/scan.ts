import { messageOf, systemErrorCode, throwIfAborted } from "../base/index.ts";
import {
  type DirectoryComparison,
  type EntryMetadata,
  type EntryPath,
  joinEntryPath,
  type StoredContent,
} from "../component/index.ts";
import { LoopBreather } from "./event-loop.ts";
import { PathFilter } from "./path-filter.ts";
import type { EntryStat } from "./posix/directory-calls.ts";
import { OwnerNames } from "./posix/owner-names.ts";
import type { RecordBase } from "./record-base.ts";
import { entryType, TreeDirectory } from "./tree-directory.ts";
import { DirectoryDigest } from "./tree-fingerprint.ts";
import { sameStamp } from "./tree-record.ts";

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
  /** Of a compared directory: what in it is as before, and so is not yielded. */
  readonly base?: RecordBase;
  /** Of a file in a compared directory: its bytes, if they are as before. */
  readonly content?: StoredContent;
}

export interface ScanOptions {
  readonly filter?: PathFilter;
  readonly owners?: OwnerNames;
  /** Where the scanned directory stands below the root of its tree; its entries' paths start with it. Default: the root. */
  readonly below?: EntryPath;
  /** What an earlier scan found in a directory; undefined if there was none. Then all that is in it is yielded. */
  readonly compare?: ((directory: EntryPath) => Promise<DirectoryComparison | undefined>) | undefined;
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
    sizeBytes: isFile ? stat.size : 0,
    diskBytes: isFile ? stat.blocks * 512 : 0,
  };
}

/** A file that was there a moment ago and is no more: the tree is live. */
export const isGone = (error: unknown): boolean => {
  const code = systemErrorCode(error);
  return code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "ESTALE";
};

interface Level {
  readonly path: EntryPath;
  readonly directory: TreeDirectory;
  readonly device: bigint;
  /** Names that are yet to be looked at, or what has been looked at and is yet to be yielded. */
  items: readonly (Buffer | ScannedEntry)[];
  at: number;
}

const empty = Buffer.alloc(0);

/**
 * Yields what is in a directory, itself first, in the order of `compareEntryPaths`. Memory is proportional to the names
 * of one chain of directories. Links are never followed, sockets are left out. What vanishes while it runs is left out.
 */
export function scanTree(root: TreeDirectory, options: ScanOptions): AsyncGenerator<ScannedEntry> {
  return new TreeScan(root, options).entries();
}

class TreeScan {
  readonly #root: TreeDirectory;
  readonly #options: ScanOptions;
  readonly #filter: PathFilter;
  readonly #owners: OwnerNames;
  readonly #breather = new LoopBreather();
  readonly #stack: Level[] = [];

  constructor(root: TreeDirectory, options: ScanOptions) {
    this.#root = root;
    this.#options = options;
    this.#filter = options.filter ?? new PathFilter();
    this.#owners = options.owners ?? new OwnerNames();
  }

  async *entries(): AsyncGenerator<ScannedEntry> {
    try {
      const stat = this.#root.lstat(empty);
      const below = this.#options.below ?? empty;
      const entry = scannedEntry(below, this.#root.metadata(empty, stat, this.#owners), stat);
      yield await this.#enter(entry, this.#root, stat);
      for (let level = this.#stack.at(-1); level !== undefined; level = this.#stack.at(-1)) {
        const item = level.items[level.at];
        if (item === undefined) {
          this.#stack.pop();
          if (level.directory !== this.#root) level.directory.close();
          continue;
        }
        level.at += 1;
        if (this.#breather.due) await this.#breathe();
        if (!Buffer.isBuffer(item)) yield item;
        else if (!this.#filter.excludesIn(level.path, item)) {
          const looked = this.#look(level, item);
          const entry = looked instanceof Promise ? await looked : looked;
          if (entry !== undefined) yield entry;
        }
      }
    } finally {
      for (const { directory } of this.#stack) if (directory !== this.#root) directory.close();
    }
  }

  async #breathe(): Promise<void> {
    await this.#breather.breathe();
    throwIfAborted(this.#options.signal);
  }

  /** What has this name in the directory. One that is a directory itself is entered, which takes a while. */
  #look(level: Level, name: Buffer): ScannedEntry | undefined | Promise<ScannedEntry> {
    const path = joinEntryPath(level.path, name);
    let entry: ScannedEntry;
    let opened: { directory: TreeDirectory; stat: EntryStat } | undefined;
    try {
      const stat = level.directory.lstat(name);
      const type = entryType(stat);
      if (type === "socket") return undefined;
      if (type === "dir") {
        const directory = openDirectory(level.directory, name, path, this.#options);
        // The metadata must be of what was opened, not of what stood at the name a moment before.
        if (directory !== undefined) opened = { directory, stat: directory.lstat(empty) };
      }
      const current = opened?.stat ?? stat;
      entry = scannedEntry(path, level.directory.metadata(name, current, this.#owners), current);
    } catch (error) {
      opened?.directory.close();
      this.#missed(path, error);
      return undefined;
    }
    if (opened === undefined) return entry;
    if (opened.stat.dev !== level.device) this.#options.onOtherFileSystem?.(path);
    return this.#enter(entry, opened.directory, opened.stat);
  }

  /** Something is left out, unless it has just vanished. */
  #missed(path: EntryPath, error: unknown): void {
    if (isGone(error)) return;
    if (systemErrorCode(error) === undefined) throw error;
    this.#options.onUnreadable({ path, code: systemErrorCode(error) ?? "EIO", message: messageOf(error) });
  }

  /** The directory is the next to be read. Returns its entry with what it has in common with before. */
  async #enter(entry: ScannedEntry, directory: TreeDirectory, stat: EntryStat): Promise<ScannedEntry> {
    const { path } = entry;
    const level: Level = { path, directory, device: stat.dev, items: [], at: 0 };
    this.#stack.push(level);
    let names: readonly Buffer[] = [];
    try {
      this.#options.onDirectory?.(path, directory, stat);
      names = directory.names();
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error;
      this.#options.onUnreadable({ path, code: systemErrorCode(error) ?? "EIO", message: messageOf(error) });
    }
    const comparison = await this.#options.compare?.(path);
    if (comparison === undefined) {
      level.items = names;
      return entry;
    }
    const { items, base } = await this.#compare(level, names, comparison);
    level.items = items;
    return base === undefined ? entry : { ...entry, base };
  }

  /** Looks at all that is in a directory: what of it is as before, and what else there is, directories by name. */
  async #compare(
    { path, directory }: Level,
    names: readonly Buffer[],
    comparison: DirectoryComparison,
  ): Promise<Pick<Level, "items"> & { readonly base: RecordBase | undefined }> {
    const items: (Buffer | ScannedEntry)[] = [];
    const digest = new DirectoryDigest();
    let files = 0;
    let others = 0;
    let bytes = 0;
    let diskBytes = 0;
    for (const name of names) {
      if (this.#breather.due) await this.#breathe();
      if (this.#filter.excludesIn(path, name)) continue;
      let metadata: EntryMetadata;
      let stat: EntryStat;
      let sizeBytes: number;
      let isSame: boolean;
      try {
        stat = directory.lstat(name);
        const type = entryType(stat);
        if (type === "socket") continue;
        if (type === "dir") {
          comparison.nextDirectory(name);
          items.push(name);
          continue;
        }
        sizeBytes = type === "file" ? stat.size : 0;
        // What changes the attributes changes the change time as well: what had none has none.
        metadata = directory.metadataWithoutXattrs(name, stat, this.#owners);
        isSame = comparison.isSame(name, metadata, sizeBytes);
        if (!isSame) {
          metadata = directory.metadata(name, stat, this.#owners);
          isSame = metadata.xattrs !== undefined && comparison.isSame(name, metadata, sizeBytes);
        }
      } catch (error) {
        this.#missed(joinEntryPath(path, name), error);
        continue;
      }
      const isFile = metadata.type === "file";
      digest.add(name, metadata, sizeBytes);
      if (!isSame) {
        const entry = scannedEntry(joinEntryPath(path, name), metadata, stat);
        const { content, stamp } = comparison.differs(name) ?? {};
        const isKnown = content !== undefined && stamp !== undefined && isFile && sameStamp(entry, stamp);
        items.push(isKnown ? { ...entry, content } : entry);
        continue;
      }
      if (!isFile) {
        others += 1;
        continue;
      }
      files += 1;
      bytes += sizeBytes;
      diskBytes += stat.blocks * 512;
    }
    const end = comparison.end();
    const base = end && { ...end, files, others, bytes, diskBytes, digest: digest.finish() };
    return { items, base };
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

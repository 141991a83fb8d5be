import { messageOf, systemErrorCode, throwIfAborted } from "../base/index.ts";
import { compareEntryPaths, type EntryPath } from "../component/index.ts";
import { DirectoryChain, splitLastName } from "./directory-chain.ts";
import { LoopBreather } from "./event-loop.ts";
import type { Overlay } from "./overlay.ts";
import type { PathFilter } from "./path-filter.ts";
import type { OwnerNames } from "./posix/owner-names.ts";
import { isGone, scannedEntry, type ScanOptions, scanTree, type Unreadable } from "./scan.ts";
import type { TreeDirectory } from "./tree-directory.ts";
import { sameStamp, stampOf, type TreeRecord } from "./tree-record.ts";
import type { TreeWatch } from "./tree-watch.ts";

export interface TreeExaminerOptions {
  readonly root: TreeDirectory;
  readonly filter: PathFilter;
  readonly owners: OwnerNames;
  readonly overlay: Overlay;
  readonly watch: TreeWatch;
  readonly onReadable: (path: string) => void;
  readonly onUnreadable: (unreadable: Unreadable) => void;
  readonly onOtherFileSystem: (path: EntryPath) => void;
}

/** Looks again at paths that changed, and writes into the overlay what is there now. */
export class TreeExaminer {
  readonly #options: TreeExaminerOptions;
  /** Directories first scanned since `settle`: not all that is in them may have found its way into the overlay. */
  readonly #incomplete = new Set<string>();
  /** How many entries were looked at. */
  looks = 0;

  constructor(options: TreeExaminerOptions) {
    this.#options = options;
  }

  /** Says that all that `examine` yielded has been dealt with. */
  settle(): void {
    this.#incomplete.clear();
  }

  /**
   * Yields the files whose bytes must be read anew; everything else is put into the overlay at once. A directory that
   * was not known before is scanned whole, and watched. Files in `suspect` are yielded whatever their times say.
   */
  async *examine(
    paths: Iterable<string>,
    signal: AbortSignal,
    suspect: ReadonlySet<string> = new Set(),
  ): AsyncGenerator<TreeRecord> {
    const breather = new LoopBreather();
    const chain = new DirectoryChain(this.#options.root);
    const sorted = [...paths].map((path) => Buffer.from(path, "latin1")).sort(compareEntryPaths);
    try {
      for (const path of sorted) {
        if (breather.due) {
          await breather.breathe();
          throwIfAborted(signal);
        }
        if (this.#options.filter.excludesWithin(path)) continue;
        this.#options.onReadable(path.toString("latin1"));
        try {
          yield* this.#examineOne(path, chain, signal, suspect);
        } catch (error) {
          const code = systemErrorCode(error);
          if (code === undefined) throw error;
          this.#options.onUnreadable({ path, code, message: messageOf(error) });
          this.#options.overlay.remove(path);
        }
      }
    } finally {
      chain.close();
    }
  }

  async *#examineOne(
    path: EntryPath,
    chain: DirectoryChain,
    signal: AbortSignal,
    suspect: ReadonlySet<string>,
  ): AsyncGenerator<TreeRecord> {
    const { overlay, owners, watch } = this.#options;
    const { parent, name } = splitLastName(path);
    this.looks += 1;
    const directory = chain.open(parent);
    const record = directory === undefined ? undefined : look(directory, path, name, owners);
    if (record === undefined || record.metadata.type === "socket") {
      overlay.remove(path);
      return;
    }
    if (record.metadata.type === "file") {
      const known = overlay.find(path);
      const isKnown =
        known !== undefined &&
        known !== null &&
        known.racy !== true &&
        !suspect.has(path.toString("latin1")) &&
        (known.content !== undefined || known.copy !== undefined) &&
        sameStamp(known, stampOf(record));
      if (isKnown) overlay.set({ ...known, ...record });
      else yield record;
      return;
    }
    if (record.metadata.type !== "dir") {
      overlay.set(record);
      return;
    }
    const opened = chain.open(path);
    if (opened === undefined) {
      // Replaced in this moment: the change marks the path again.
      watch.markDirty(path);
      return;
    }
    const stat = opened.lstat(Buffer.alloc(0));
    const text = path.toString("latin1");
    if (path.length === 0 || (watch.watches(path, stat) && !this.#incomplete.has(text))) {
      const found = scannedEntry(path, opened.metadata(Buffer.alloc(0), stat, owners), stat);
      overlay.set(found);
      return;
    }
    this.#incomplete.add(text);
    overlay.replaceBelow(path);
    for await (const entry of scanTree(opened, this.#scanOptions(path, signal))) {
      this.looks += 1;
      if (entry.metadata.type === "file") yield entry;
      else overlay.set(entry);
    }
  }

  #scanOptions(below: EntryPath, signal: AbortSignal): ScanOptions {
    const { filter, owners, watch, onUnreadable, onOtherFileSystem } = this.#options;
    return {
      filter,
      owners,
      below,
      signal,
      onUnreadable,
      onOtherFileSystem,
      onDirectory: (path, directory, stat) => watch.add(path, directory, stat),
    };
  }
}

function look(directory: TreeDirectory, path: EntryPath, name: Buffer, owners: OwnerNames): TreeRecord | undefined {
  try {
    const stat = directory.lstat(name);
    return scannedEntry(path, directory.metadata(name, stat, owners), stat);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

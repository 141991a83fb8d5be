import { join } from "node:path";
import { throwIfAborted } from "../base/index.ts";
import type { SourceContext } from "../component/index.ts";
import { entryOfBase, expandBases, hasBase } from "./based-records.ts";
import { splitLastName } from "./directory-chain.ts";
import { KnownRecords } from "./known-records.ts";
import { LinkedFiles } from "./linked-files.ts";
import { type Listing, ListingWriter } from "./listing.ts";
import { Overlay } from "./overlay.ts";
import type { PathFilter } from "./path-filter.ts";
import type { EntryStat } from "./posix/directory-calls.ts";
import { OwnerNames } from "./posix/owner-names.ts";
import { scanTree, type ScanOptions, type Unreadable } from "./scan.ts";
import { StorePipeline } from "./store-pipeline.ts";
import type { TreeDirectory } from "./tree-directory.ts";
import { TreeExaminer } from "./tree-examiner.ts";
import type { TreeRecord } from "./tree-record.ts";
import { TreeWatch } from "./tree-watch.ts";

export interface TreeStateOptions {
  readonly context: SourceContext;
  readonly filter: PathFilter;
  /** Absolute path without links. */
  readonly root: Buffer;
  readonly directory: TreeDirectory;
  readonly watched: boolean;
  readonly queueLimit?: number;
}

/** So many changes are kept in memory before a new listing is written. */
const overlayLimit = 20_000;
const rescansAfterOverflow = 2;

/** What is known of a live tree: a listing on disk, what changed since in memory, and the watch that tells what will. */
export class TreeState {
  readonly context: SourceContext;
  readonly filter: PathFilter;
  readonly root: Buffer;
  readonly directory: TreeDirectory;
  readonly owners = new OwnerNames();
  readonly watch: TreeWatch;
  readonly linked = new LinkedFiles();
  readonly unreadable = new Map<string, Unreadable>();
  examiner: TreeExaminer;
  overlay = new Overlay();
  listing: Listing | undefined;
  rounds = 0;
  readonly #watched: boolean;
  #rescans = 0;
  #listings = 0;
  readonly #otherFileSystems = new Set<string>();
  #closed = false;

  constructor(options: TreeStateOptions) {
    this.context = options.context;
    this.filter = options.filter;
    this.root = options.root;
    this.directory = options.directory;
    this.#watched = options.watched;
    this.watch = new TreeWatch(options.queueLimit === undefined ? {} : { queueLimit: options.queueLimit });
    if (!options.watched) this.watch.close();
    this.examiner = this.#newExaminer();
  }

  /** Whether the watch tells everything that changes; otherwise the tree must be compared whole at the freeze point. */
  get isWatched(): boolean {
    return this.#watched && this.watch.loss === undefined;
  }

  /** Scans and stores the whole tree. */
  async scan(signal: AbortSignal): Promise<void> {
    await this.#writeListing(undefined, signal);
  }

  /**
   * One round: stores what changed since the last one. After an overflow of the kernel's queue that is a comparison of
   * the whole tree. Returns false if no further round can help.
   */
  async catchUp(signal: AbortSignal): Promise<boolean> {
    if (!this.#watched) return false;
    this.watch.drain();
    if (this.watch.loss !== undefined) {
      if (this.watch.loss.kind !== "watch-overflow" || this.#rescans >= rescansAfterOverflow) return false;
      this.#rescans += 1;
      this.context.log.info("Changes came faster than the kernel could tell them: comparing the whole tree.", {
        path: this.root.toString(),
      });
      this.watch.restart();
      await this.#rewriteListing(signal);
      return true;
    }
    if (this.watch.dirtyCount === 0) return false;
    this.rounds += 1;
    const dirty = this.watch.takeDirty();
    let complete = false;
    try {
      const pipeline = this.#pipeline(signal, (record) => this.overlay.set(record));
      for await (const record of this.examiner.examine(dirty, signal)) {
        await pipeline.add(record, true);
      }
      await pipeline.finish();
      this.examiner.settle();
      complete = true;
    } finally {
      // Stopped half-way: whoever goes on looks at all of it again.
      if (!complete) for (const path of dirty) this.watch.markDirty(path);
    }
    if (this.overlay.size > overlayLimit) await this.#compact(signal);
    return true;
  }

  #pipeline(signal: AbortSignal, put: (record: TreeRecord) => void): StorePipeline {
    return new StorePipeline({
      store: this.context.store,
      root: this.root,
      signal,
      progress: (delta) => this.context.progress(delta),
      onRecord: (record, settled) => {
        put(record);
        this.linked.add(record);
        if (!settled) this.watch.markDirty(record.path);
      },
    });
  }

  /**
   * What is known of the tree now, in the order of paths. "expanded": each entry has its record; "based": directories
   * that hold what they held in the previous backup may have a base instead.
   */
  records(how: "expanded" | "based"): AsyncGenerator<TreeRecord> {
    const { listing, overlay, context } = this;
    if (listing === undefined) throw new TypeError("A tree has no records before its first scan.");
    // Mostly nothing has changed since: each of these steps costs as much for an entry as reading its record.
    if (how === "based" && overlay.isEmpty) return listing.records();
    const isWanted = (directory: Buffer): boolean => how === "expanded" || overlay.changesIn(directory);
    return overlay.merge(expandBases(listing.records(), context.previous, isWanted));
  }

  /** What the last scan found at this path. For few lookups, not for a whole tree. */
  async find(path: Buffer): Promise<TreeRecord | undefined> {
    const record = this.listing?.find(path);
    const { previous } = this.context;
    if (record !== undefined || previous === undefined || path.length === 0) return record;
    const { parent, name } = splitLastName(path);
    const directory = this.listing?.find(parent);
    return directory !== undefined && hasBase(directory) ? entryOfBase(previous, directory, name) : undefined;
  }

  /**
   * Scans the tree into a new listing; files that `known` or, without it, the previous backup knows are not read again.
   */
  async #writeListing(known: KnownRecords | undefined, signal: AbortSignal): Promise<void> {
    const writer = this.newListing();
    try {
      const pipeline = this.#pipeline(signal, (record) => writer.add(record));
      const { previous } = this.context;
      const compare = known === undefined ? previous?.compare.bind(previous) : undefined;
      for await (const entry of scanTree(this.directory, { ...this.scanOptions(signal), compare })) {
        if (entry.base !== undefined) {
          this.context.progress({ expectedFiles: entry.base.files, expectedBytes: entry.base.bytes });
        }
        let found: TreeRecord | undefined = entry;
        if (entry.metadata.type === "file") {
          this.context.progress({ expectedFiles: 1, expectedBytes: entry.sizeBytes });
          if (entry.content === undefined) found = known === undefined ? undefined : await known.find(entry);
        }
        const full = pipeline.add(found ?? entry, found === undefined);
        if (full !== undefined) await full;
      }
      await pipeline.finish();
    } catch (error) {
      writer.abandon();
      throw error;
    }
    this.replaceListing(writer.finish());
  }

  async #rewriteListing(signal: AbortSignal): Promise<void> {
    if (this.listing === undefined) return;
    this.linked.clear();
    this.unreadable.clear();
    const known = new KnownRecords(this.records("expanded"));
    try {
      await this.#writeListing(known, signal);
    } finally {
      await known.close();
    }
  }

  /** Writes listing and overlay into one new listing. */
  async #compact(signal: AbortSignal): Promise<void> {
    if (this.listing === undefined) return;
    const writer = this.newListing();
    try {
      for await (const record of this.records("based")) {
        throwIfAborted(signal);
        writer.add(record);
      }
    } catch (error) {
      writer.abandon();
      throw error;
    }
    this.replaceListing(writer.finish());
  }

  newListing(): ListingWriter {
    this.#listings += 1;
    return new ListingWriter(join(this.context.workDirectory, `listing-${this.#listings}`));
  }

  /** The new listing stands for everything known so far. */
  replaceListing(listing: Listing): void {
    this.listing?.close();
    this.listing = listing;
    this.overlay = new Overlay();
    this.examiner = this.#newExaminer();
  }

  scanOptions(signal: AbortSignal): ScanOptions {
    return {
      filter: this.filter,
      owners: this.owners,
      signal,
      onUnreadable: (unreadable) => this.unreadable.set(unreadable.path.toString("latin1"), unreadable),
      onOtherFileSystem: (path) => this.#warnOtherFileSystem(path),
      ...(this.#watched
        ? {
            onDirectory: (path: Buffer, directory: TreeDirectory, stat: EntryStat) => {
              this.watch.add(path, directory, stat);
              this.watch.drain();
            },
          }
        : {}),
    };
  }

  #newExaminer(): TreeExaminer {
    return new TreeExaminer({
      root: this.directory,
      filter: this.filter,
      owners: this.owners,
      overlay: this.overlay,
      watch: this.watch,
      onReadable: (path) => this.unreadable.delete(path),
      onUnreadable: (unreadable) => this.unreadable.set(unreadable.path.toString("latin1"), unreadable),
      onOtherFileSystem: (path) => this.#warnOtherFileSystem(path),
    });
  }

  #warnOtherFileSystem(path: Buffer): void {
    const text = path.toString();
    if (this.#otherFileSystems.has(text)) return;
    this.#otherFileSystems.add(text);
    this.context.warn({
      kind: "other-file-system",
      message: `Another file system is mounted at ${this.root.toString()}/${text}; its files are in the backup, but it cannot be restored in place as a part of this folder.`,
      facts: { path: text },
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.watch.close();
    this.listing?.close();
    this.directory.close();
  }
}

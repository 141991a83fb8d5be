import type {
  ContentReader,
  ContentStore,
  Entry,
  EntryMetadata,
  EntryPath,
  PreviousEntries,
  StoredEntry,
} from "../component/index.ts";
import type { PruneOptions, PruneReport } from "./prune/prune-types.ts";
import type { RepairOptions, RepairReport } from "./repair/repair-types.ts";

/** 64 lower-case hex digits: SHA-256 of what it names. */
export type HexId = string;

export interface Snapshot {
  /** File name of the snapshot: the SHA-256 of its stored bytes. */
  readonly id: HexId;
  readonly time: Date;
  readonly tree: HexId;
  readonly paths: readonly string[];
  readonly hostname: string;
  readonly tags: readonly string[];
  readonly parent?: HexId;
  /** "holdfast 0.1.0"; restic's own otherwise. */
  readonly programVersion?: string;
}

export interface TreeStats {
  readonly files: number;
  readonly directories: number;
  /** Sum of the files' sizes. */
  readonly bytes: number;
}

export interface StoredTree extends TreeStats {
  readonly id: HexId;
}

/** What a writer has put into the repository so far. */
export interface WriteStats {
  /** Bytes of blobs that the repository did not have, before compression. */
  readonly bytesNew: number;
  /** The same as stored: compressed, encrypted, with pack headers. */
  readonly bytesStored: number;
  readonly blobsNew: number;
}

/** A directory to make by hand around stored trees. Children of type dir name the tree that they hold. */
export interface TreeChild {
  readonly name: Buffer;
  readonly metadata: EntryMetadata;
  /** For type "dir". */
  readonly subtree?: HexId;
  /** For type "file". */
  readonly content?: StoredEntry["content"];
}

/**
 * Writes one snapshot. Holds a shared lock on the repository, refreshed until `close`.
 * Order on storage: packs, then the index that names them, then the snapshot (restic-format.md section 12).
 */
export interface RepositoryWriter extends ContentStore {
  /**
   * Stores a tree of entries (in the order of `compareEntryPaths`, root first) and returns its id and totals. Entries with
   * stream or file content are read here. @throws HoldfastError ENTRY_UNSAFE for entries out of order or twice
   */
  storeTree(entries: AsyncIterable<Entry>, signal?: AbortSignal): Promise<StoredTree>;

  /** Stores a directory whose children are given; for the upper levels of a snapshot. */
  storeDirectory(children: readonly TreeChild[]): Promise<HexId>;

  /** The entries of an earlier snapshot below `path` ("mounts/app/media"), to spare reading unchanged files. */
  previous(snapshot: Snapshot, path: string): Promise<PreviousEntries | undefined>;

  /** Makes every pack durable that holds what was stored so far; after it, `stats` counts all of that. */
  flush(): Promise<void>;

  stats(): WriteStats;

  /** Makes every pack and the index durable, then writes the snapshot. Once per writer. */
  saveSnapshot(snapshot: {
    readonly time: Date;
    readonly tree: HexId;
    readonly paths: readonly string[];
    readonly hostname: string;
    readonly tags: readonly string[];
    readonly parent?: HexId;
  }): Promise<Snapshot>;

  /** Stops the workers' work on it and lets go of the lock; without `saveSnapshot`, what was stored stays unreferenced. */
  close(): Promise<void>;
}

/** Reads snapshots. Holds a shared lock until `close`. */
export interface RepositoryReader extends ContentReader {
  /** The entry at `path` of the snapshot, root for the empty path; undefined if there is none. */
  find(snapshot: Snapshot, path: EntryPath): Promise<StoredEntry | undefined>;

  /** Everything below `path` in the order of `compareEntryPaths`; paths are relative to it, it comes first as the empty path. */
  walk(snapshot: Snapshot, path: EntryPath, signal?: AbortSignal): AsyncIterable<StoredEntry>;

  /** Direct children of the directory at `path`. */
  list(snapshot: Snapshot, path: EntryPath): Promise<readonly StoredEntry[]>;

  close(): Promise<void>;
}

export type CheckSeverity = "error" | "hint";

export interface CheckFinding {
  readonly severity: CheckSeverity;
  /** "pack-missing", "pack-size", "blob-damaged", "tree-missing", "index-undecodable", "pack-orphaned", ... */
  readonly kind: string;
  readonly message: string;
  /** Which snapshots are affected, where that is known, newest first. */
  readonly snapshots?: readonly HexId[];
  /** What of the newest of them. */
  readonly affected?: readonly AffectedSnapshot[];
}

/** What a finding means for a snapshot. */
export interface AffectedSnapshot {
  readonly snapshot: Snapshot;
  /** The first of them; directories end in "/", and everything below them is affected, too. */
  readonly paths: readonly string[];
  readonly pathsTotal: number;
}

export interface CheckReport {
  readonly findings: readonly CheckFinding[];
  readonly snapshots: number;
  readonly packs: number;
  readonly blobs: number;
  readonly bytesRead: number;
  readonly coverage: DataCoverage;
}

/** How much of the data this and earlier checks have read and found sound, as far as they are remembered. */
export interface DataCoverage {
  readonly packs: number;
  readonly packsTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
  /** All of them have been read since then; undefined if none has. */
  readonly since: Date | undefined;
}

export interface CheckOptions {
  /** Share of the packs to read and verify whole, least recently read first: 0 (structure only, the default) to 1. */
  readonly readDataRatio?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface StatsOptions {
  readonly signal?: AbortSignal;
  /** Snapshots that have been measured. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface RepositoryStats {
  readonly snapshots: number;
  readonly packs: number;
  readonly blobs: number;
  /** Sum of all pack files. */
  readonly bytesStored: number;
  /** The same blobs before compression. */
  readonly bytesUncompressed: number;
  /** Sum of all files of all snapshots. */
  readonly bytesInSnapshots: number;
  /** Of the blobs that any snapshot needs: as stored, before compression, and of that without directories. */
  readonly bytesUsed: number;
  readonly bytesUsedUncompressed: number;
  readonly bytesUsedData: number;
  /** Oldest first. */
  readonly sizes: readonly SnapshotSizes[];
}

/** What a snapshot takes. Stored bytes are those of blobs with their lines in packs' headers. */
export interface SnapshotSizes {
  readonly snapshot: Snapshot;
  /** Sum of all its files. */
  readonly bytes: number;
  /** What it would take by itself: its blobs, each once, as stored. */
  readonly bytesStored: number;
  /** Of these, what no other snapshot needs: a prune frees it once this snapshot is gone. */
  readonly bytesUnique: number;
  /** Of these, what no earlier snapshot has: by so much the repository grew with it. */
  readonly bytesNew: number;
}

export interface LockInfo {
  readonly id: HexId;
  readonly time: Date;
  readonly exclusive: boolean;
  readonly hostname: string;
  readonly username: string;
  readonly pid: number;
  /** Of this machine with its process gone; else, older than its lease and what clocks may differ, restic's than 30 min. */
  readonly stale: boolean;
}

/** A key file: one password that opens the repository. */
export interface KeyInfo {
  readonly id: HexId;
  /** Undefined, as are the names, for a file that cannot be read. */
  readonly createdAt: Date | undefined;
  readonly username: string | undefined;
  readonly hostname: string | undefined;
  /** The repository was opened with it. */
  readonly inUse: boolean;
}

/** An open repository of restic's format, version 2. */
export interface Repository {
  /** The id in the repository's config. */
  readonly id: HexId;
  readonly location: string;

  /** Every snapshot, oldest first. Undecodable ones are thrown as REPOSITORY_DAMAGED, naming the file. */
  snapshots(): Promise<readonly Snapshot[]>;

  writer(options?: { readonly signal?: AbortSignal }): Promise<RepositoryWriter>;
  reader(options?: { readonly signal?: AbortSignal }): Promise<RepositoryReader>;

  /** Removes the snapshot's file, also while backups run. Its data stays until a prune. Idempotent. */
  forget(id: HexId): Promise<void>;

  check(options?: CheckOptions): Promise<CheckReport>;
  /** Reads indexes and directories, no file contents. @throws HoldfastError REPOSITORY_DAMAGED, REPOSITORY_LOCKED, STORAGE_*, INTERRUPTED */
  stats(options?: StatsOptions): Promise<RepositoryStats>;
  /**
   * Frees what no snapshot needs, beside writers and readers: marks it, and deletes what was marked a safety time ago.
   * Interrupted anywhere it loses nothing. @throws HoldfastError REPOSITORY_LOCKED, REPOSITORY_DAMAGED, STORAGE_*, INTERRUPTED
   */
  prune(options?: PruneOptions): Promise<PruneReport>;
  /**
   * Makes the index again from what can be read, and says what snapshots lost, alone on the repository. Removes no data;
   * interrupted anywhere it loses nothing. @throws HoldfastError REPOSITORY_LOCKED, STORAGE_*, INTERRUPTED
   */
  repair(options?: RepairOptions): Promise<RepairReport>;

  /** Every key, oldest first. */
  keys(): Promise<readonly KeyInfo[]>;
  /** Lets a further password open the repository; returns the key's id once the key has been read back and opened. */
  addKey(password: string): Promise<HexId>;
  /**
   * Removes a key, under an exclusive lock. @throws HoldfastError INPUT_INVALID for the last one that can be read, for one that
   * is not there, and for the one in use unless `evenInUse`
   */
  removeKey(id: HexId, options?: { readonly evenInUse?: boolean }): Promise<void>;

  locks(): Promise<readonly LockInfo[]>;
  /** Removes stale locks, or all; returns how many. */
  unlock(options?: { readonly all?: boolean }): Promise<number>;

  /** Ends the worker threads and closes the backend. */
  close(): Promise<void>;
}

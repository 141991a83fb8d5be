import type { EntryMetadata, EntryPath, StoredEntry } from "./entry.ts";

/** Bytes that the repository holds: the ordered ids of their blobs. Opaque to sources and targets. */
export interface StoredContent {
  readonly sizeBytes: number;
  /** 32 bytes a blob, concatenated in order; empty for an empty file. */
  readonly blobIds: Uint8Array;
}

/** What identifies one state of a file without reading it. */
export interface FileStamp {
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
}

export interface FileToStore {
  /** Absolute path, raw bytes. Opened with O_NOFOLLOW. */
  readonly path: Buffer;
}

export type StoreFileResult =
  /** `stamp` is of the state that was read; it was the same before and after reading. */
  | { readonly status: "stored"; readonly content: StoredContent; readonly stamp: FileStamp }
  /** The file went on changing while it was read (three tries). `content` is what the last try read: torn, perhaps. */
  | { readonly status: "changing"; readonly content: StoredContent; readonly stamp: FileStamp }
  /** `code` is the system's: ENOENT, EACCES, EIO, ELOOP, ... */
  | { readonly status: "failed"; readonly code: string; readonly message: string };

/** Puts bytes into the repository ahead of the snapshot that will refer to them. Safe to call concurrently. */
export interface ContentStore {
  /**
   * Reads and stores files on worker threads; hand in many at once (tens to hundreds; small files cost less that way).
   * Results are in the order of `files`. Memory is bounded by the implementation, which delays the promise.
   * @throws HoldfastError STORAGE_*, INTERRUPTED. A file that cannot be read is a result, not an error.
   */
  storeFiles(files: readonly FileToStore[], signal?: AbortSignal): Promise<readonly StoreFileResult[]>;

  /** Stores a stream; pulls no faster than it can store. An error of the stream is thrown as it is. */
  storeStream(stream: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<StoredContent>;
}

/** A stored entry with the state of the file that its bytes were read from. */
export type PreviousEntry = StoredEntry & { readonly stamp?: FileStamp };

/** The same source's entries in the environment's previous backup, to spare reading and storing what did not change. */
export interface PreviousEntries {
  /**
   * Entries directly in `directory` (a path below the source's root) by name as latin1 text, or undefined if the
   * previous backup had no such directory. An entry's content is known to be still in the repository.
   */
  list(directory: EntryPath): Promise<ReadonlyMap<string, PreviousEntry> | undefined>;

  /** For what is in the directory now; undefined if the previous backup had no such directory. */
  compare(directory: EntryPath): Promise<DirectoryComparison | undefined>;
}

/** Compares what is in a directory with what the previous backup has of it. Tell it of everything, ordered by name. */
export interface DirectoryComparison {
  /**
   * Whether all that a backup keeps of this entry, which is no directory, is as before, and its bytes are still in the
   * repository. If not, `differs` has to be told, unless it is asked again with more of the metadata.
   */
  isSame(name: Buffer, metadata: EntryMetadata, sizeBytes: number): boolean;
  /** There is an entry, no directory, that is not the same. What the previous backup has under its name, if anything. */
  differs(name: Buffer): PreviousEntry | undefined;
  /** There is a directory of this name. */
  nextDirectory(name: Buffer): void;
  /** What the entries that are the same have in common; undefined if there are none. */
  end(): DirectoryBase | undefined;
}

/**
 * A directory of the previous backup as the basis of one of the new: whatever is in it, directories apart, is in the new
 * one too, but for the names in `without`.
 */
export interface DirectoryBase {
  /** Opaque to sources. */
  readonly tree: Uint8Array;
  readonly without: readonly Buffer[];
  /** Nothing is in the new one that is not in this, by name; and neither has directories. */
  readonly whole: boolean;
}

/** What a new file gets besides its bytes. */
export interface FileProperties {
  /** Permission, setuid, setgid and sticky bits; without the set-id bits where the owner cannot be set. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970, UTC. */
  readonly mtimeNs: bigint;
}

export interface FileToWrite {
  /** Absolute path, raw bytes. Must not exist: made with O_CREAT | O_EXCL | O_NOFOLLOW, mode 0600. Its folder exists. */
  readonly path: Buffer;
  readonly content: StoredContent;
  /**
   * A local file that may hold the same bytes. Where it does (each piece's hash is compared), they are cloned or copied
   * from there and not read from the repository. It may vanish or differ at any moment: then the repository serves.
   */
  readonly candidate?: Buffer;
  /** Set while the file is open, if that is cheap; the result says whether it was done. */
  readonly properties?: FileProperties;
  /**
   * Allows the candidate itself to become the new file, under a second name (a hard link), where nothing tells the two
   * apart: the same bytes and `properties`, no extended attributes, no other name, no link on the way to it. Its bytes
   * are not read if its stamp is this one. Whoever allows it looks again later whether somebody has written to it.
   */
  readonly linkIfSame?: FileStamp;
}

export type WriteFileResult =
  | {
      readonly status: "written";
      readonly reusedBytes: number;
      /** Undefined: not set, which is left to the caller. "owner-missed": all but the owner, as only root may set it. */
      readonly properties?: "set" | "owner-missed";
      /** The candidate became the file; this is its stamp since. */
      readonly linked?: FileStamp;
    }
  | { readonly status: "failed"; readonly code: string; readonly message: string };

/** Gets bytes out of the repository. Every blob's hash is verified before a byte of it is used. */
export interface ContentReader {
  /**
   * Writes files on worker threads; hand in many at once. Runs of zeros become holes. Results in the order of `files`.
   * @throws HoldfastError REPOSITORY_DAMAGED, STORAGE_*, TARGET_FULL (ENOSPC), INTERRUPTED.
   */
  writeFiles(files: readonly FileToWrite[], signal?: AbortSignal): Promise<readonly WriteFileResult[]>;

  /** The bytes in order; read ahead is bounded. */
  read(content: StoredContent, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

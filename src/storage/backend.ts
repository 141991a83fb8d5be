/** The kinds of file in a repository (restic's names). `config` has no name of its own. */
export type FileType = "config" | "key" | "data" | "index" | "snapshot" | "lock";

export interface FileHandle {
  readonly type: FileType;
  /** 64 lower-case hex digits; "config" for the configuration. */
  readonly name: string;
}

export interface FileInfo {
  readonly name: string;
  readonly sizeBytes: number;
}

/**
 * A place that keeps files which are written once, read whole or in ranges, listed and removed. All calls may run
 * concurrently. Errors are normalised: STORAGE_NOT_FOUND, STORAGE_DENIED, STORAGE_EXISTS, STORAGE_RANGE,
 * STORAGE_FULL, STORAGE_TRANSIENT. A backend never retries by itself.
 */
export interface Backend {
  /** For messages, without secrets: "local:/srv/backup". */
  readonly location: string;

  /**
   * Creates a file whole or not at all: when it resolves, the file is durable and listed; killed before, it is not
   * there. A temporary left by a crash is never listed as a file. Once it has settled, `bytes` are the caller's again.
   * @throws STORAGE_EXISTS, with the old file untouched.
   */
  save(handle: FileHandle, bytes: Uint8Array): Promise<void>;

  /** The file, or `length` bytes from `offset`. @throws STORAGE_NOT_FOUND, STORAGE_RANGE */
  load(handle: FileHandle, range?: { readonly offset: number; readonly length: number }): Promise<Buffer>;

  stat(handle: FileHandle): Promise<FileInfo>;

  /** Every file of the type, in no particular order; names that are not 64 hex digits are left out. */
  list(type: FileType): AsyncIterable<FileInfo>;

  /** Removing what is not there is no error. */
  remove(handle: FileHandle): Promise<void>;

  /**
   * Removes temporaries that killed writers left and that nobody has touched for `olderThanMs`; returns how many. Where
   * saving leaves none, 0.
   */
  removeTemporaries(olderThanMs: number): Promise<number>;
  /** Makes the folders (or bucket prefix) a repository needs. Idempotent. */
  create(): Promise<void>;

  close(): Promise<void>;
}

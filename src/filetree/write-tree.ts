import { linkSync, lstatSync, mkdirSync, symlinkSync } from "node:fs";
import { HoldfastError, systemErrorCode, throwIfAborted } from "../base/index.ts";
import type {
  ContentReader,
  EntryMetadata,
  FileToWrite,
  ProgressDelta,
  StageReport,
  StoredEntry,
  Warning,
  WriteFileResult,
} from "../component/index.ts";
import { EntryOrder } from "./entry-order.ts";
import { LoopBreather } from "./event-loop.ts";
import { makeNode, syncFileSystem } from "./posix/files.ts";
import { removeXattr } from "./posix/xattrs.ts";
import type { SharedFilesWriter } from "./shared-files.ts";
import { fileIdentity } from "./tree-record.ts";
import { MetadataWriter, targetFull } from "./write-metadata.ts";

export interface WriteTreeOptions {
  readonly signal?: AbortSignal;
  readonly warn: (warning: Warning) => void;
  readonly progress?: (delta: ProgressDelta) => void;
  /** A live tree that may hold the same files: one of the same path is offered to `contents` to copy from. */
  readonly candidates?: Buffer;
  /**
   * Lets files that are the same in the live tree be shared with it: the staged name is a second one of the same file.
   * Whoever allows it writes them down, and looks again before the live tree is exchanged with this one.
   */
  readonly shared?: SharedFilesWriter;
}

/** More files than that are not shared, as each has to be looked at again inside the hold (about 4 µs). */
const maxSharedFiles = 100_000;

const batchFiles = 1024;
const batchBytes = 8 * 1024 * 1024;
const batchSteps = 4096;
const batchesInFlight = 4;

const inheritedAcls = ["system.posix_acl_default", "system.posix_acl_access"];

type WrittenFile = Extract<WriteFileResult, { status: "written" }>;

/** What is done, in order, once the files of a batch and of those before it are written. */
type Step = () => void;

interface Batch {
  readonly files: FileToWrite[];
  /** Of `files`. */
  readonly entries: StoredEntry[];
  readonly steps: Step[];
  bytes: number;
  done: Promise<void>;
}

const newBatch = (): Batch => ({ files: [], entries: [], steps: [], bytes: 0, done: Promise.resolve() });

interface LinkedFile {
  readonly path: Buffer;
  readonly blobIds: Uint8Array;
  /** Names of it still to come. */
  missing: number;
}

/**
 * Writes the entries of a backup as files. `directory` is where the root entry goes: it must not exist, or be an empty
 * directory that only we write to; its parent exists. What is written is on the disk when the promise resolves.
 * Owners, attributes, ns times, modes, hard links and devices come back as far as the user's rights go; what does not is
 * one warning for each kind. Sockets are left out.
 * @throws HoldfastError ENTRY_UNSAFE, TARGET_FULL, SERVICE_STAGE_FAILED, REPOSITORY_DAMAGED, STORAGE_*, INTERRUPTED
 */
export async function writeTree(
  directory: Buffer,
  entries: AsyncIterable<StoredEntry>,
  contents: ContentReader,
  options: WriteTreeOptions,
): Promise<StageReport> {
  const writer = new TreeWriter(directory, contents, options);
  try {
    return await writer.write(entries);
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOSPC" || code === "EDQUOT") throw targetFull(directory, undefined, error);
    if (code !== undefined) throw stageFailed(directory, code, String(error), error);
    throw error;
  } finally {
    await writer.settled();
  }
}

class TreeWriter {
  readonly #directory: Buffer;
  readonly #contents: ContentReader;
  readonly #options: WriteTreeOptions;
  readonly #metadata = new MetadataWriter();
  readonly #order = new EntryOrder();
  readonly #directories = new Map<string, EntryMetadata>();
  readonly #linked = new Map<string, LinkedFile>();
  readonly #inFlight: Batch[] = [];
  #current = newBatch();
  #report = { files: 0, bytes: 0, reusedBytes: 0 };

  constructor(directory: Buffer, contents: ContentReader, options: WriteTreeOptions) {
    this.#directory = directory;
    this.#contents = contents;
    this.#options = options;
  }

  async write(entries: AsyncIterable<StoredEntry>): Promise<StageReport> {
    const breather = new LoopBreather();
    for await (const entry of entries) {
      if (breather.due) {
        await breather.breathe();
        throwIfAborted(this.#options.signal);
      }
      for (const ended of this.#order.next(entry)) this.#finishDirectory(ended);
      this.#add(entry);
      const { files, steps, bytes } = this.#current;
      if (files.length >= batchFiles || bytes >= batchBytes || steps.length >= batchSteps) await this.#startBatch();
    }
    for (const ended of this.#order.end()) this.#finishDirectory(ended);
    await this.#startBatch();
    while (this.#inFlight.length > 0) await this.#finishOldest();
    this.#metadata.warn(this.#options.warn);
    syncFileSystem(this.#directory);
    return this.#report;
  }

  /** After a failure: waits for what is still being written, so that the caller can remove it all. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#inFlight.map(({ done }) => done));
  }

  #pathOf(entryPath: Buffer): Buffer {
    return entryPath.length === 0 ? this.#directory : Buffer.concat([this.#directory, Buffer.from("/"), entryPath]);
  }

  #add(entry: StoredEntry): void {
    const { metadata } = entry;
    const path = this.#pathOf(entry.path);
    switch (metadata.type) {
      case "file":
        this.#addFile(entry, path);
        return;
      case "dir":
        if (entry.path.length > 0) mkdirSync(path, { mode: 0o700 });
        else makeRoot(path);
        // What stands around the new tree must not hand its access rules down into it.
        if (entry.path.length === 0) for (const name of inheritedAcls) removeXattr(path, name);
        this.#directories.set(entry.path.toString("latin1"), metadata);
        return;
      case "symlink":
        symlinkSync(Buffer.from(metadata.linkTarget ?? []), path);
        this.#metadata.apply(path, metadata);
        return;
      case "socket":
        return;
      case "fifo":
      case "dev":
      case "chardev":
        this.#addNode(metadata, path);
    }
  }

  #addNode(metadata: EntryMetadata, path: Buffer): void {
    try {
      makeNode(path, metadata.type as "fifo" | "dev" | "chardev", metadata.device ?? 0n);
    } catch (error) {
      if (systemErrorCode(error) !== "EPERM" || metadata.type === "fifo") throw error;
      this.#metadata.missDevice();
      return;
    }
    this.#metadata.apply(path, metadata);
  }

  #addFile(entry: StoredEntry, path: Buffer): void {
    const { metadata, content } = entry;
    if (content === undefined) throw new TypeError("a file without content");
    this.#report.files += 1;
    this.#report.bytes += content.sizeBytes;
    const batch = this.#current;
    if (metadata.links > 1) {
      const identity = fileIdentity(metadata);
      const first = this.#linked.get(identity);
      if (first !== undefined && Buffer.compare(first.blobIds, content.blobIds) === 0) {
        first.missing -= 1;
        if (first.missing <= 0) this.#linked.delete(identity);
        batch.steps.push(() => linkSync(first.path, path));
        this.#options.progress?.({ files: 1, bytes: content.sizeBytes });
        return;
      }
      if (first === undefined) {
        this.#linked.set(identity, { path, blobIds: content.blobIds, missing: metadata.links - 1 });
      }
    }
    const candidate = this.#candidate(entry.path);
    // Attributes come after the owner, and before a mode that may forbid writing: all of it is set here then.
    const properties = metadata.xattrs === undefined ? { properties: metadata } : {};
    const { mtimeNs, ctimeNs, inode } = metadata;
    const link =
      candidate !== undefined && this.#mayShare(metadata)
        ? { linkIfSame: { sizeBytes: content.sizeBytes, mtimeNs, ctimeNs, inode } }
        : {};
    batch.files.push({ path, content, ...properties, ...(candidate === undefined ? {} : { candidate }), ...link });
    batch.entries.push(entry);
    batch.bytes += content.sizeBytes;
  }

  #mayShare({ links, xattrs }: EntryMetadata): boolean {
    const { shared } = this.#options;
    return shared !== undefined && shared.count < maxSharedFiles && links === 1 && xattrs === undefined;
  }

  #candidate(entryPath: Buffer): Buffer | undefined {
    const { candidates } = this.#options;
    if (candidates === undefined || entryPath.length === 0) return candidates;
    return Buffer.concat([candidates, Buffer.from("/"), entryPath]);
  }

  /** A directory's times and mode come last, after all that is written into it. */
  #finishDirectory(entryPath: Buffer): void {
    const key = entryPath.toString("latin1");
    const metadata = this.#directories.get(key);
    if (metadata === undefined) throw new TypeError("a directory ended that did not begin");
    this.#directories.delete(key);
    const path = this.#pathOf(entryPath);
    this.#current.steps.push(() => this.#metadata.apply(path, metadata));
  }

  async #startBatch(): Promise<void> {
    const batch = this.#current;
    this.#current = newBatch();
    throwIfAborted(this.#options.signal);
    batch.done = this.#writeFiles(batch);
    // A failure is met when the batch's turn comes.
    batch.done.catch(() => undefined);
    this.#inFlight.push(batch);
    while (this.#inFlight.length >= batchesInFlight) await this.#finishOldest();
  }

  async #writeFiles(batch: Batch): Promise<void> {
    if (batch.files.length === 0) return;
    const results = await this.#contents.writeFiles(batch.files, this.#options.signal);
    for (const [at, file] of batch.files.entries()) {
      const result = results[at];
      if (result?.status === "written") {
        this.#written(batch.entries[at] as StoredEntry, file, result);
        continue;
      }
      const code = result?.code ?? "EIO";
      if (code === "ENOSPC" || code === "EDQUOT") throw targetFull(file.path, undefined);
      throw stageFailed(file.path, code, result?.message ?? "no result", undefined);
    }
    this.#options.progress?.({ files: batch.files.length, bytes: batch.bytes });
  }

  #written(entry: StoredEntry, { path, content }: FileToWrite, result: WrittenFile): void {
    const { metadata } = entry;
    this.#report.reusedBytes += result.reusedBytes;
    if (result.linked !== undefined) {
      this.#options.shared?.add({ path: entry.path, properties: metadata, content, stamp: result.linked });
    } else if (result.properties === undefined) this.#metadata.apply(path, metadata);
    else if (result.properties === "owner-missed") this.#metadata.missOwner();
  }

  async #finishOldest(): Promise<void> {
    const batch = this.#inFlight[0] as Batch;
    await batch.done;
    this.#inFlight.shift();
    for (const step of batch.steps) step();
  }
}

/** @throws HoldfastError ENTRY_UNSAFE for a link: it would lead what is written elsewhere */
function makeRoot(path: Buffer): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) mkdirSync(path, { mode: 0o700 });
  if (found?.isSymbolicLink() !== true) return;
  throw new HoldfastError("ENTRY_UNSAFE", `${path.toString()} is a link, and nothing is restored through one.`, {
    facts: { path: path.toString() },
    remedy: "Remove the link, or name the folder that it leads to.",
  });
}

function stageFailed(path: Buffer, code: string, message: string, cause: unknown): HoldfastError {
  return new HoldfastError("SERVICE_STAGE_FAILED", `Could not write ${path.toString()}: ${message}`, {
    facts: { path: path.toString(), error: code },
    remedy: "Look at the folder's rights and the file system's state; nothing was changed.",
    cause,
  });
}

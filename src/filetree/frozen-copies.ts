import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync, rmSync, statfsSync, writeSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { formatBytes, HoldfastError, systemErrorCode } from "../base/index.ts";
import { DirectoryChain, splitLastName } from "./directory-chain.ts";
import { LoopBreather } from "./event-loop.ts";
import type { OwnerNames } from "./posix/owner-names.ts";
import { entryStat } from "./posix/directory-calls.ts";
import { isGone, scannedEntry } from "./scan.ts";
import type { TreeDirectory } from "./tree-directory.ts";
import { fileIdentity, isRacy, type TreeRecord } from "./tree-record.ts";

const chunkBytes = 1024 * 1024;
const tries = 3;
const reserveBytes = 16 * 1024 * 1024;

export interface FrozenCopiesOptions {
  readonly root: TreeDirectory;
  readonly owners: OwnerNames;
  /** Folder for the copies; made if missing. */
  readonly directory: string;
  /** Throws once the freeze has taken too long. */
  readonly checkDeadline: () => void;
  /** A file that goes on changing while it is copied: the copy may be torn. */
  readonly onChanging: (record: TreeRecord) => void;
}

/** Copies of files as they are at the freeze point: clones where the file system can, else of the bytes. */
export class FrozenCopies {
  readonly #options: FrozenCopiesOptions;
  readonly #chain: DirectoryChain;
  readonly #byIdentity = new Map<string, TreeRecord>();
  readonly #breather = new LoopBreather();
  #clones: boolean | undefined;
  #count = 0;
  #files = 0;
  #bytes = 0;

  constructor(options: FrozenCopiesOptions) {
    this.#options = options;
    this.#chain = new DirectoryChain(options.root);
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  }

  get files(): number {
    return this.#files;
  }

  /** Bytes that were read and written; clones do not count. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Copies the file that the record was made of. Returns the record as it is copied, undefined if it is gone, or
   * with `unreadable`. @throws FREEZE_FAILED past the deadline or on a full disk
   */
  async copy(record: TreeRecord): Promise<TreeRecord | undefined> {
    this.#options.checkDeadline();
    if (this.#breather.due) await this.#breather.breathe();
    const { parent, name } = splitLastName(record.path);
    let fd: number;
    try {
      const directory = this.#chain.open(parent);
      if (directory === undefined) return undefined;
      fd = openSync(directory.child(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      try {
        return await this.#copyOpen(record, fd, directory, name);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      if (isGone(error)) return undefined;
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      if (code === "ENOSPC" || code === "EDQUOT") throw this.#full(record, error);
      return { ...record, unreadable: code };
    }
  }

  async #copyOpen(record: TreeRecord, fd: number, directory: TreeDirectory, name: Buffer): Promise<TreeRecord> {
    for (let attempt = 1; ; attempt += 1) {
      const startedAtMs = Date.now();
      const opened = fstatSync(fd, { bigint: true });
      if (!opened.isFile()) return { ...record, unreadable: "ESTALE" };
      const before = entryStat(opened);
      const seen = scannedEntry(record.path, directory.metadata(name, before, this.#options.owners), before);
      const identity = fileIdentity(seen.metadata);
      const known = this.#byIdentity.get(identity);
      // Names of one file share one copy.
      if (known !== undefined && known.metadata.ctimeNs === before.ctimeNs) return { ...known, path: record.path };
      this.#count += 1;
      const copied = await this.#copyBytes(fd, this.path(this.#count), before.size);
      const after = entryStat(fstatSync(fd, { bigint: true }));
      const steady = before.mtimeNs === after.mtimeNs && before.size === after.size && copied === before.size;
      if (!steady && attempt < tries) continue;
      const racy = !steady || isRacy(before.ctimeNs, startedAtMs);
      const result: TreeRecord = { ...seen, sizeBytes: copied, copy: this.#count, ...(racy ? { racy } : {}) };
      if (!steady) this.#options.onChanging(result);
      if (seen.metadata.links > 1) this.#byIdentity.set(identity, result);
      this.#files += 1;
      return result;
    }
  }

  async #copyBytes(fd: number, path: string, sizeBytes: number): Promise<number> {
    if (sizeBytes > 0 && this.#clones !== false && (await this.#clone(fd, path))) return fstatSyncSize(path);
    if (sizeBytes > chunkBytes) this.#checkRoom(sizeBytes);
    const output = openSync(path, "w", 0o600);
    try {
      const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, sizeBytes + 1));
      let position = 0;
      for (;;) {
        const read = readSync(fd, chunk, 0, chunk.length, position);
        if (read === 0) return position;
        for (let at = 0; at < read;) at += writeSync(output, chunk, at, read - at);
        position += read;
        this.#bytes += read;
        this.#options.checkDeadline();
        if (this.#breather.due) await this.#breather.breathe();
      }
    } finally {
      closeSync(output);
    }
  }

  /** Shares the file's blocks with the copy, where the file system can. */
  async #clone(fd: number, path: string): Promise<boolean> {
    try {
      await copyFile(`/proc/self/fd/${fd}`, path, constants.COPYFILE_FICLONE_FORCE);
      this.#clones = true;
      return true;
    } catch (error) {
      const code = systemErrorCode(error);
      if (!["ENOTSUP", "EOPNOTSUPP", "EXDEV", "EINVAL", "ENOSYS", "ENOTTY", "EPERM"].includes(code ?? "")) throw error;
      this.#clones = false;
      rmSync(path, { force: true });
      return false;
    }
  }

  #checkRoom(sizeBytes: number): void {
    const { bavail, bsize } = statfsSync(this.#options.directory);
    if (bavail * bsize < sizeBytes + reserveBytes) throw this.#full(undefined, undefined);
  }

  #full(record: TreeRecord | undefined, cause: unknown): HoldfastError {
    return new HoldfastError(
      "FREEZE_FAILED",
      `The work folder ${this.#options.directory} has no room for copies of the files that changed last (${formatBytes(this.#bytes)} so far).`,
      {
        facts: { bytesCopied: this.#bytes, filesCopied: this.#files, path: record?.path.toString() ?? null },
        remedy: "Make room on the disk of the state folder, or exclude files that change all the time.",
        cause,
      },
    );
  }

  /** Absolute path of a copy. */
  path(copy: number): string {
    return join(this.#options.directory, `${copy}`);
  }

  /** Ends copying; the copies stay. */
  close(): void {
    this.#chain.close();
    this.#byIdentity.clear();
  }
}

function fstatSyncSize(path: string): number {
  const fd = openSync(path, "r");
  try {
    return fstatSync(fd).size;
  } finally {
    closeSync(fd);
  }
}

import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle as OpenFile, mkdir, open, readdir, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError, makeDirectories, syncDirectory, systemErrorCode } from "../../base/index.ts";
import type { Backend, FileHandle, FileInfo, FileType } from "../backend.ts";
import { checkHandle, describeHandle, isStoredName, isTemporaryName, typeFolders } from "../file-name.ts";
import { publish, removeTemporary } from "./durable-file.ts";
import { storageError } from "./local-errors.ts";

const directoryMode = 0o700;
const writtenMode = 0o400;
/** Files whose sizes are asked for at a time while listing. */
const statBatch = 32;
/** Removals that must survive a power cut before anything that relies on them happens. */
const durableRemovals: ReadonlySet<FileType> = new Set(["key", "index", "snapshot"]);

/** A repository in a folder of a local (or mounted) file system, laid out as restic's local backend does. */
export class LocalBackend implements Backend {
  readonly location: string;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
    this.location = `local:${root}`;
  }

  async save(handle: FileHandle, bytes: Uint8Array): Promise<void> {
    checkHandle(handle);
    const directory = this.#directoryOf(handle);
    const durable = handle.type !== "lock";
    const temporary = join(directory, `${handle.name}-tmp-${randomBytes(6).toString("hex")}`);
    try {
      const file = await this.#createTemporary(temporary, directory, handle.type);
      try {
        await writeWhole(file, bytes, durable);
        await publish(temporary, join(directory, handle.name));
      } finally {
        await removeTemporary(temporary);
      }
      if (durable) await syncDirectory(directory);
    } catch (error) {
      throw storageError(error, `saving ${describeHandle(handle)}`, this.location);
    }
  }

  async #createTemporary(path: string, directory: string, type: FileType): Promise<OpenFile> {
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY;
    try {
      return await open(path, flags, 0o600);
    } catch (error) {
      if (type !== "data" || systemErrorCode(error) !== "ENOENT") throw error;
    }
    // A copy of a repository made by a tool that leaves out empty folders lacks some of the 256.
    await mkdir(directory, { mode: directoryMode, recursive: false }).catch(ignoreExisting);
    await syncDirectory(join(this.#root, typeFolders.data));
    return open(path, flags, 0o600);
  }

  async load(handle: FileHandle, range?: { readonly offset: number; readonly length: number }): Promise<Buffer> {
    checkHandle(handle);
    try {
      await using file = await open(this.#pathOf(handle), constants.O_RDONLY);
      const { size } = await file.stat();
      const { offset, length } = range ?? { offset: 0, length: size };
      if (offset < 0 || length < 0 || offset + length > size) throw this.#beyondEnd(handle, offset + length, size);
      const bytes = Buffer.allocUnsafeSlow(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
        if (bytesRead === 0) throw this.#beyondEnd(handle, offset + length, offset + filled);
        filled += bytesRead;
      }
      return bytes;
    } catch (error) {
      throw storageError(error, `loading ${describeHandle(handle)}`, this.location);
    }
  }

  #beyondEnd(handle: FileHandle, end: number, size: number): HoldfastError {
    return new HoldfastError(
      "STORAGE_RANGE",
      `The ${describeHandle(handle)} at ${this.location} has ${size} bytes; ${end} were asked for.`,
      { facts: { location: this.location, size, end } },
    );
  }

  async stat(handle: FileHandle): Promise<FileInfo> {
    checkHandle(handle);
    try {
      return { name: handle.name, sizeBytes: (await stat(this.#pathOf(handle))).size };
    } catch (error) {
      throw storageError(error, `looking up ${describeHandle(handle)}`, this.location);
    }
  }

  async *list(type: FileType): AsyncIterable<FileInfo> {
    if (type === "config") return;
    const folder = join(this.#root, typeFolders[type]);
    if (type !== "data") {
      yield* this.#listFolder(folder);
      return;
    }
    for (const name of await this.#namesIn(folder)) {
      if (/^[0-9a-f]{2}$/.test(name)) yield* this.#listFolder(join(folder, name));
    }
  }

  async *#listFolder(folder: string): AsyncIterable<FileInfo> {
    const names = (await this.#namesIn(folder)).filter(isStoredName);
    for (let at = 0; at < names.length; at += statBatch) {
      const infos = await Promise.all(names.slice(at, at + statBatch).map((name) => this.#infoOf(folder, name)));
      yield* infos.filter((info) => info !== undefined);
    }
  }

  async #namesIn(folder: string): Promise<string[]> {
    try {
      return await readdir(folder);
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return [];
      throw storageError(error, "listing files", this.location);
    }
  }

  async #infoOf(folder: string, name: string): Promise<FileInfo | undefined> {
    try {
      return { name, sizeBytes: (await stat(join(folder, name))).size };
    } catch (error) {
      // Removed since the folder was read.
      if (systemErrorCode(error) === "ENOENT") return undefined;
      throw storageError(error, "listing files", this.location);
    }
  }

  async remove(handle: FileHandle): Promise<void> {
    checkHandle(handle);
    try {
      await unlink(this.#pathOf(handle));
      if (durableRemovals.has(handle.type)) await syncDirectory(this.#directoryOf(handle));
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return;
      throw storageError(error, `removing ${describeHandle(handle)}`, this.location);
    }
  }

  async removeTemporaries(olderThanMs: number): Promise<number> {
    const data = join(this.#root, typeFolders.data);
    const shards = (await this.#namesIn(data)).filter((name) => /^[0-9a-f]{2}$/.test(name));
    const folders = Object.values(typeFolders).map((name) => join(this.#root, name));
    let removed = 0;
    for (const folder of [this.#root, ...folders, ...shards.map((name) => join(data, name))]) {
      for (const name of (await this.#namesIn(folder)).filter(isTemporaryName)) {
        if (await this.#removeIfOld(join(folder, name), olderThanMs)) removed += 1;
      }
    }
    return removed;
  }

  async #removeIfOld(path: string, olderThanMs: number): Promise<boolean> {
    try {
      if (Date.now() - (await stat(path)).mtimeMs <= olderThanMs) return false;
      await unlink(path);
      return true;
    } catch (error) {
      // Its writer has finished.
      if (systemErrorCode(error) === "ENOENT") return false;
      throw storageError(error, "removing a temporary file", this.location);
    }
  }

  async create(): Promise<void> {
    try {
      await makeDirectories(this.#root, directoryMode);
      for (const folder of Object.values(typeFolders)) await this.#createFolder(folder);
      for (let shard = 0; shard < 256; shard += 1) {
        await this.#createFolder(join(typeFolders.data, shard.toString(16).padStart(2, "0")));
      }
      await syncDirectory(join(this.#root, typeFolders.data));
      await syncDirectory(this.#root);
    } catch (error) {
      throw storageError(error, "making the folders of a repository", this.location);
    }
  }

  async #createFolder(name: string): Promise<void> {
    await mkdir(join(this.#root, name), { mode: directoryMode }).catch(ignoreExisting);
  }

  async close(): Promise<void> {
    // Nothing stays open between calls.
  }

  #directoryOf({ type, name }: FileHandle): string {
    if (type === "config") return this.#root;
    const folder = join(this.#root, typeFolders[type]);
    return type === "data" ? join(folder, name.slice(0, 2)) : folder;
  }

  #pathOf(handle: FileHandle): string {
    return join(this.#directoryOf(handle), handle.name);
  }
}

function ignoreExisting(error: unknown): void {
  if (systemErrorCode(error) !== "EEXIST") throw error;
}

/** A lock need not survive a power cut: nor does its holder. */
async function writeWhole(file: OpenFile, bytes: Uint8Array, durable: boolean): Promise<void> {
  try {
    let written = 0;
    while (written < bytes.length) {
      written += (await file.write(bytes, written, bytes.length - written)).bytesWritten;
    }
    await file.chmod(writtenMode);
    if (durable) await file.sync();
  } finally {
    await file.close();
  }
}

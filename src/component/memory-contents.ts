import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { link, lstat, open, readFile } from "node:fs/promises";
import { HoldfastError, messageOf, systemErrorCode, throwIfAborted } from "../base/index.ts";
import type {
  ContentReader,
  ContentStore,
  FileStamp,
  FileToStore,
  FileToWrite,
  StoredContent,
  StoreFileResult,
  WriteFileResult,
} from "./content.ts";

/** A content store in memory, for the tests of sources and targets. One blob a chunk of a stream or 1 MiB of a file. */
export class MemoryContents implements ContentStore, ContentReader {
  readonly #blobs = new Map<string, Uint8Array>();

  async storeFiles(files: readonly FileToStore[], signal?: AbortSignal): Promise<readonly StoreFileResult[]> {
    const results: StoreFileResult[] = [];
    for (const { path } of files) {
      throwIfAborted(signal);
      results.push(await this.#storeFile(path));
    }
    return results;
  }

  async #storeFile(path: Buffer): Promise<StoreFileResult> {
    try {
      await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
      const before = await file.stat({ bigint: true });
      const content = await this.storeStream(file.createReadStream({ autoClose: false, highWaterMark: 1 << 20 }));
      const after = await file.stat({ bigint: true });
      const stamp: FileStamp = {
        sizeBytes: content.sizeBytes,
        mtimeNs: after.mtimeNs,
        ctimeNs: after.ctimeNs,
        inode: after.ino,
      };
      const steady = before.mtimeNs === after.mtimeNs && before.ctimeNs === after.ctimeNs;
      return { status: steady ? "stored" : "changing", content, stamp };
    } catch (error) {
      return { status: "failed", code: systemErrorCode(error) ?? "EIO", message: messageOf(error) };
    }
  }

  async storeStream(stream: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<StoredContent> {
    const ids: Buffer[] = [];
    let sizeBytes = 0;
    for await (const chunk of stream) {
      throwIfAborted(signal);
      if (chunk.length === 0) continue;
      const id = createHash("sha256").update(chunk).digest();
      this.#blobs.set(id.toString("hex"), Uint8Array.from(chunk));
      ids.push(id);
      sizeBytes += chunk.length;
    }
    return { sizeBytes, blobIds: Buffer.concat(ids) };
  }

  async writeFiles(files: readonly FileToWrite[], signal?: AbortSignal): Promise<readonly WriteFileResult[]> {
    const results: WriteFileResult[] = [];
    for (const file of files) {
      throwIfAborted(signal);
      results.push((await this.#linkCandidate(file)) ?? (await this.#writeFile(file.path, file.content)));
    }
    return results;
  }

  async #linkCandidate(file: FileToWrite): Promise<WriteFileResult | undefined> {
    const { path, content, candidate, properties, linkIfSame } = file;
    if (candidate === undefined || properties === undefined || linkIfSame === undefined) return undefined;
    const stat = await lstat(candidate, { bigint: true }).catch(() => undefined);
    const isSame =
      stat?.isFile() === true &&
      stat.nlink === 1n &&
      Number(stat.size) === content.sizeBytes &&
      stat.mtimeNs === properties.mtimeNs &&
      (Number(stat.mode) & 0o7777) === properties.mode &&
      Number(stat.uid) === properties.uid &&
      Number(stat.gid) === properties.gid;
    if (!isSame) return undefined;
    const bytes: Uint8Array[] = [];
    for await (const chunk of this.read(content)) bytes.push(chunk);
    if (!Buffer.concat(bytes).equals(await readFile(candidate))) return undefined;
    await link(candidate, path);
    return { status: "written", reusedBytes: content.sizeBytes, properties: "set", linked: await fileStamp(path) };
  }

  async #writeFile(path: Buffer, content: StoredContent): Promise<WriteFileResult> {
    try {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
      await using file = await open(path, flags, 0o600);
      for await (const chunk of this.read(content)) await file.write(chunk);
      return { status: "written", reusedBytes: 0 };
    } catch (error) {
      if (systemErrorCode(error) === "ENOSPC") {
        throw new HoldfastError("TARGET_FULL", `No room left writing ${path.toString()}.`, { cause: error });
      }
      return { status: "failed", code: systemErrorCode(error) ?? "EIO", message: messageOf(error) };
    }
  }

  async *read(content: StoredContent, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const ids = Buffer.from(content.blobIds);
    for (let at = 0; at < ids.length; at += 32) {
      throwIfAborted(signal);
      const blob = this.#blobs.get(ids.subarray(at, at + 32).toString("hex"));
      if (blob === undefined) throw new HoldfastError("REPOSITORY_DAMAGED", "A blob is not in the memory store.");
      yield blob;
    }
  }
}

/** The stamp of a file as `lstat` gives it. */
export async function fileStamp(path: Buffer | string): Promise<FileStamp> {
  const stat = await lstat(path, { bigint: true });
  return { sizeBytes: Number(stat.size), mtimeNs: stat.mtimeNs, ctimeNs: stat.ctimeNs, inode: stat.ino };
}

import { closeSync, ftruncateSync } from "node:fs";
import { throwIfAborted } from "../../base/index.ts";
import type { FileToWrite, WriteFileResult } from "../../component/index.ts";
import type { BlobLocation } from "../index/blob-index.ts";
import type { ReuseResult } from "../workers/protocol.ts";
import { createFile, refusal } from "../workers/write-file.ts";
import type { BlobWrite } from "./blob-writes.ts";
import type { ReadSession } from "./create-content-reader.ts";
import { encodeReuses } from "./file-reuses.ts";
import { findBlob, plainBytes } from "./locate-blob.ts";
import { checkSize } from "./read-content.ts";
import { writeNeeded } from "./write-needed.ts";

/** Files that are worked on at once: each of several blobs is open meanwhile. */
const filesPerGroup = 512;
const openFilesPerGroup = 64;
/** Blobs that are planned together, so that a pack's are loaded together. */
const blobsPerPlan = 4096;
/** Files of a message to a worker. */
const candidatesPerJob = 64;

interface FileInWork {
  readonly number: number;
  readonly file: FileToWrite;
  readonly blobs: readonly BlobLocation[];
  /** Open for writing, or -1 if it is made whole by a worker. */
  fd: number;
  /** Numbers of the blobs to write; undefined for all. */
  missing: readonly number[] | undefined;
}

/** Writes files out of packs; see ContentReader.writeFiles. */
export class FileWriter {
  readonly #read: ReadSession;

  constructor(read: ReadSession) {
    this.#read = read;
  }

  async write(files: readonly FileToWrite[], signal?: AbortSignal): Promise<readonly WriteFileResult[]> {
    const results: WriteFileResult[] = files.map(() => ({ status: "written", reusedBytes: 0 }));
    let group: FileInWork[] = [];
    let large = 0;
    for (const [number, file] of files.entries()) {
      const blobs = this.#locate(file);
      group.push({ number, file, blobs, fd: -1, missing: undefined });
      if (blobs.length > 1) large += 1;
      if (group.length < filesPerGroup && large < openFilesPerGroup) continue;
      await this.#writeGroup(group, results, signal);
      group = [];
      large = 0;
    }
    if (group.length > 0) await this.#writeGroup(group, results, signal);
    return results;
  }

  /** Where the file's blobs lie. @throws HoldfastError REPOSITORY_DAMAGED */
  #locate({ content }: FileToWrite): BlobLocation[] {
    const { blobIds } = content;
    const blobs: BlobLocation[] = [];
    let total = 0;
    for (let at = 0; at < blobIds.length; at += 32) {
      const blob = findBlob(this.#read.index, blobIds.subarray(at, at + 32));
      blobs.push(blob);
      total += plainBytes(blob);
    }
    checkSize(content, total);
    return blobs;
  }

  async #writeGroup(
    group: readonly FileInWork[],
    results: WriteFileResult[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    throwIfAborted(signal);
    try {
      await this.#reuse(group, results, signal);
      for (const work of group) this.#create(work, results);
      let plan: BlobWrite[] = [];
      for (const need of this.#needs(group, results)) {
        plan.push(need);
        if (plan.length < blobsPerPlan) continue;
        await writeNeeded(this.#read, plan, results, signal);
        plan = [];
      }
      await writeNeeded(this.#read, plan, results, signal);
    } finally {
      for (const { fd } of group) if (fd !== -1) closeSync(fd);
    }
  }

  /** Fills the files that have candidates as far as these go. */
  async #reuse(
    group: readonly FileInWork[],
    results: WriteFileResult[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const withCandidate = group.filter(
      ({ file, blobs }) => file.candidate !== undefined && (blobs.length > 0 || file.linkIfSame !== undefined),
    );
    const jobs: Promise<void>[] = [];
    for (let at = 0; at < withCandidate.length; at += candidatesPerJob) {
      jobs.push(this.#reusePart(withCandidate.slice(at, at + candidatesPerJob), results, signal));
    }
    for (const ended of await Promise.allSettled(jobs)) if (ended.status === "rejected") throw ended.reason;
  }

  async #reusePart(
    part: readonly FileInWork[],
    results: WriteFileResult[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { pool, session } = this.#read;
    const files = encodeReuses(
      part.map(({ file, blobs }) => ({
        ...file,
        candidate: file.candidate ?? file.path,
        sizes: blobs.map(plainBytes),
      })),
    );
    const reused = await pool.run({ kind: "reuse-files", session, files }, { transfer: [files.buffer], signal });
    for (const [at, work] of part.entries()) {
      const result = reused[at] as ReuseResult;
      const { sizeBytes } = work.file.content;
      switch (result.status) {
        case "failed":
          results[work.number] = result;
          break;
        case "none":
          break;
        case "linked": {
          const { ctimeNs, inode } = result;
          const linked = { sizeBytes, mtimeNs: work.file.properties?.mtimeNs ?? 0n, ctimeNs, inode };
          work.missing = [];
          results[work.number] = { status: "written", reusedBytes: sizeBytes, properties: "set", linked };
          break;
        }
        case "reused": {
          const { fd, missing, reusedBytes, properties } = result;
          work.fd = fd;
          work.missing = missing;
          results[work.number] = {
            status: "written",
            reusedBytes,
            ...(properties === undefined ? {} : { properties }),
          };
        }
      }
    }
  }

  /** Makes a file that is not a single blob, which a worker makes, nor already there. */
  #create(work: FileInWork, results: WriteFileResult[]): void {
    if (work.missing !== undefined || work.blobs.length === 1 || results[work.number]?.status === "failed") return;
    try {
      work.fd = createFile(work.file.path);
      if (work.file.content.sizeBytes > 0) ftruncateSync(work.fd, work.file.content.sizeBytes);
    } catch (error) {
      results[work.number] = refusal(error);
    }
  }

  *#needs(group: readonly FileInWork[], results: WriteFileResult[]): Generator<BlobWrite> {
    for (const { number, file, blobs, fd, missing } of group) {
      if (results[number]?.status === "failed") continue;
      const { path, properties } = file;
      const { blobIds } = file.content;
      const wanted = missing === undefined ? undefined : new Set(missing);
      // The worker that makes the file sets them too, and tells of what it could not.
      if (fd === -1 && missing === undefined && properties !== undefined) {
        results[number] = { status: "written", reusedBytes: 0, properties: "set" };
      }
      let position = 0;
      for (const [at, blob] of blobs.entries()) {
        if (wanted === undefined || wanted.has(at)) {
          const target =
            fd === -1 ? ({ kind: "create", path, properties } as const) : ({ kind: "open", fd, position } as const);
          yield { ...blob, id: blobIds.subarray(at * 32, at * 32 + 32), file: number, target };
        }
        position += plainBytes(blob);
      }
    }
  }
}

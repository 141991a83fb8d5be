import { HoldfastError, throwIfAborted } from "../../base/index.ts";
import type { ContentStore, FileToStore, StoredContent, StoreFileResult } from "../../component/index.ts";
import { gearTable } from "../chunker/gear-chunker.ts";
import { StreamChunker } from "../chunker/stream-chunker.ts";
import type { MasterKey } from "../crypto/envelope.ts";
import type { StoredFile } from "../workers/protocol.ts";
import { Semaphore } from "../workers/semaphore.ts";
import { decodeStoredFiles } from "../workers/stored-files.ts";
import type { WorkerPool } from "../workers/worker-pool.ts";
import type { PackSaver } from "./pack-saver.ts";

/** Files of a message to a worker, together: a message costs as much as a small file. */
const filesPerJob = 64;
/** Chunkers (16 MiB each) kept for the next stream. */
const keptChunkers = 2;
const mib = 1 << 20;

/** Stores contents through the workers. */
export class ContentWriter implements ContentStore {
  readonly #pool: WorkerPool;
  readonly #session: number;
  readonly #saver: PackSaver;
  readonly #table: Uint8Array;
  readonly #jobs: Semaphore;
  readonly #streamBytes: Semaphore;
  readonly #chunkers: StreamChunker[] = [];

  constructor(options: {
    readonly pool: WorkerPool;
    readonly session: number;
    readonly saver: PackSaver;
    readonly key: MasterKey;
  }) {
    this.#pool = options.pool;
    this.#session = options.session;
    this.#saver = options.saver;
    this.#table = gearTable(options.key);
    this.#jobs = new Semaphore(this.#pool.size * 2);
    this.#streamBytes = new Semaphore((this.#pool.size + 1) * 8 * mib);
  }

  async storeFiles(files: readonly FileToStore[], signal?: AbortSignal): Promise<readonly StoreFileResult[]> {
    this.#saver.check();
    throwIfAborted(signal);
    const parts: Promise<readonly StoredFile[]>[] = [];
    for (let at = 0; at < files.length; at += filesPerJob) {
      parts.push(this.#storePart(files.slice(at, at + filesPerJob), signal));
    }
    // All end before any error is thrown, so that nothing of this call goes on after it.
    const ended = await Promise.allSettled(parts);
    const results: StoreFileResult[] = [];
    for (const part of ended) {
      if (part.status === "rejected") {
        this.#saver.check();
        throw part.reason;
      }
      for (const file of part.value) results.push(toResult(file));
    }
    return results;
  }

  async storeStream(stream: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<StoredContent> {
    this.#saver.check();
    const chunker = this.#chunkers.pop() ?? new StreamChunker(this.#table);
    const chunks = new ChunkQueue(this.#pool, this.#session, this.#streamBytes);
    let sizeBytes = 0;
    try {
      for await (const bytes of stream) {
        throwIfAborted(signal);
        this.#saver.check();
        sizeBytes += bytes.length;
        for (const chunk of chunker.push(bytes)) await chunks.add(chunk);
      }
      throwIfAborted(signal);
      const last = chunker.finish();
      if (last !== undefined) await chunks.add(last);
    } catch (error) {
      chunker.finish();
      await chunks.settle();
      this.#saver.check();
      throw error;
    } finally {
      if (this.#chunkers.length < keptChunkers) this.#chunkers.push(chunker);
    }
    try {
      return { sizeBytes, blobIds: await chunks.finish() };
    } catch (error) {
      this.#saver.check();
      throw error;
    }
  }

  async #storePart(files: readonly FileToStore[], signal: AbortSignal | undefined): Promise<readonly StoredFile[]> {
    const release = await this.#jobs.acquire(1, signal);
    try {
      const paths = joinPaths(files);
      const job = { kind: "store-files", session: this.#session, paths } as const;
      return decodeStoredFiles(await this.#pool.run(job, { transfer: [paths.buffer], signal }));
    } finally {
      release();
    }
  }
}

/** The chunks of one stream on their way: stored in any order, their ids put in the stream's. */
class ChunkQueue {
  readonly #pool: WorkerPool;
  readonly #session: number;
  readonly #room: Semaphore;
  readonly #ids: Uint8Array[] = [];
  readonly #running = new Set<Promise<void>>();
  #count = 0;
  #failure: unknown;

  constructor(pool: WorkerPool, session: number, room: Semaphore) {
    this.#pool = pool;
    this.#session = session;
    this.#room = room;
  }

  /** Resolves when there is room for it: the stream waits so long. @throws what storing an earlier chunk threw */
  async add(chunk: Uint8Array<ArrayBuffer>): Promise<void> {
    const number = this.#count;
    this.#count += 1;
    const release = await this.#room.acquire(chunk.length);
    if (this.#failure !== undefined) {
      release();
      throw this.#failure;
    }
    const job = { kind: "store-blobs", session: this.#session, type: "data", blobs: [chunk] } as const;
    const running = this.#pool
      .run(job, { transfer: [chunk.buffer] })
      .then((id) => {
        this.#ids[number] = id;
      })
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        release();
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  /** Waits for what is under way; does not throw. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async finish(): Promise<Uint8Array> {
    await this.settle();
    if (this.#failure !== undefined) throw this.#failure;
    return Buffer.concat(this.#ids);
  }
}

/** As the workers want them: a zero byte after each. */
function joinPaths(files: readonly FileToStore[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const { path } of files) {
    if (path.length === 0 || path.includes(0)) throw new TypeError("A path is empty or has a zero byte.");
    length += path.length + 1;
  }
  const joined = new Uint8Array(length);
  let at = 0;
  for (const { path } of files) {
    joined.set(path, at);
    at += path.length + 1;
  }
  return joined;
}

function toResult(file: StoredFile): StoreFileResult {
  if (file.status === "failed") return file;
  const { status, sizeBytes, blobIds, stamp } = file;
  return { status, content: { sizeBytes, blobIds }, stamp };
}

/** A file that was said not to change any more has, or cannot be read. */
export function unreadable(path: Buffer, result: StoreFileResult): HoldfastError {
  const name = path.toString();
  const why = result.status === "failed" ? `cannot be read (${result.code})` : "changed while it was being read";
  return new HoldfastError("ENTRY_UNREADABLE", `The frozen file ${name} ${why}.`, {
    facts: { path: name },
    remedy: "Find out what changes or locks files in the component's frozen copy, then take the backup again.",
  });
}

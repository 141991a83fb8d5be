import type { ContentReader, FileToWrite, StoredContent, WriteFileResult } from "../../component/index.ts";
import { HoldfastError } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import type { MasterKey } from "../crypto/envelope.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import { Semaphore } from "../workers/semaphore.ts";
import type { WorkerPool } from "../workers/worker-pool.ts";
import { FileWriter } from "./file-writer.ts";
import { readContent } from "./read-content.ts";

export interface ContentReaderParts {
  readonly backend: Backend;
  readonly key: MasterKey;
  readonly pool: WorkerPool;
  readonly index: LoadedIndex;
}

/** What reading contents needs. */
export interface ReadSession extends ContentReaderParts {
  readonly session: number;
  /** Bytes of packs in memory. */
  readonly room: Semaphore;
}

/** Per worker: one range being worked on, one being loaded. */
const roomPerWorker = 12 << 20;

/** Reads contents through the workers. `close` is idempotent. */
export async function createContentReader(
  parts: ContentReaderParts,
): Promise<ContentReader & { close(): Promise<void> }> {
  const session = await parts.pool.openSession({ key: parts.key });
  const read: ReadSession = { ...parts, session, room: new Semaphore(roomPerWorker * parts.pool.size) };
  const files = new FileWriter(read);
  return {
    writeFiles(list: readonly FileToWrite[], signal?: AbortSignal): Promise<readonly WriteFileResult[]> {
      return files.write(list, signal);
    },
    read(content: StoredContent, signal?: AbortSignal): AsyncIterable<Uint8Array> {
      return readContent(read, content, signal);
    },
    close(): Promise<void> {
      return parts.pool.closeSession(session, new HoldfastError("INTERRUPTED", "The reader was closed."));
    },
  };
}

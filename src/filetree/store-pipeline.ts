import { throwIfAborted } from "../base/index.ts";
import { type ContentStore, joinEntryPath, type ProgressDelta, type StoreFileResult } from "../component/index.ts";
import { isRacy, sameStamp, type TreeRecord } from "./tree-record.ts";

const batchFiles = 256;
const batchBytes = 8 * 1024 * 1024;
const batchesInFlight = 4;

interface Batch {
  readonly records: TreeRecord[];
  /** Indexes into `records` of the files to store. */
  readonly toStore: number[];
  bytes: number;
  done: Promise<void>;
  results: readonly StoreFileResult[];
  startedAtMs: number;
}

const newBatch = (): Batch => ({
  records: [],
  toStore: [],
  bytes: 0,
  done: Promise.resolve(),
  results: [],
  startedAtMs: 0,
});

export interface StorePipelineOptions {
  readonly store: ContentStore;
  /** Absolute path of the tree's root. */
  readonly root: Buffer;
  readonly signal: AbortSignal;
  readonly progress: (delta: ProgressDelta) => void;
  /**
   * Gets the records in the order in which they were added. `settled` is false for a file that changed, or vanished,
   * while it was read: look at it again.
   */
  readonly onRecord: (record: TreeRecord, settled: boolean) => void;
}

/** Stores the files among a sequence of records in batches, several at once, and hands the records on in order. */
export class StorePipeline {
  readonly #options: StorePipelineOptions;
  readonly #inFlight: Batch[] = [];
  readonly #aborted: Promise<void>;
  #current = newBatch();

  constructor(options: StorePipelineOptions) {
    this.#options = options;
    this.#aborted = new Promise((resolve) => {
      if (options.signal.aborted) resolve();
      else options.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /**
   * `needsBytes`: the record is of a file that the repository does not hold yet. Returns what to wait for before the next
   * record, if there is anything: most records are not worth a promise.
   */
  add(record: TreeRecord, needsBytes: boolean): Promise<void> | undefined {
    const batch = this.#current;
    batch.records.push(record);
    if (needsBytes) {
      batch.toStore.push(batch.records.length - 1);
      batch.bytes += record.sizeBytes;
    }
    const full = batch.toStore.length >= batchFiles || batch.bytes >= batchBytes || batch.records.length >= 8192;
    return full ? this.#startBatch() : undefined;
  }

  async #startBatch(): Promise<void> {
    this.#start();
    while (this.#inFlight.length >= batchesInFlight) await this.#finishOldest();
  }

  async finish(): Promise<void> {
    this.#start();
    while (this.#inFlight.length > 0) await this.#finishOldest();
  }

  #start(): void {
    const batch = this.#current;
    this.#current = newBatch();
    const { store, root, signal } = this.#options;
    throwIfAborted(signal);
    batch.startedAtMs = Date.now();
    if (batch.toStore.length > 0) {
      const files = batch.toStore.map((at) => ({
        path: joinEntryPath(root, (batch.records[at] as TreeRecord).path),
      }));
      batch.done = store.storeFiles(files, signal).then((results) => {
        batch.results = results;
      });
      // Whoever stops early does not wait for it; whoever waits gets the error.
      batch.done.catch(() => undefined);
    }
    this.#inFlight.push(batch);
  }

  async #finishOldest(): Promise<void> {
    const batch = this.#inFlight[0] as Batch;
    await Promise.race([batch.done, this.#aborted]);
    throwIfAborted(this.#options.signal);
    this.#inFlight.shift();
    const results = new Map(batch.toStore.map((at, index) => [at, batch.results[index]]));
    let files = 0;
    let bytes = 0;
    for (const [at, record] of batch.records.entries()) {
      if (record.metadata.type === "file") {
        files += 1;
        bytes += record.sizeBytes;
      }
      files += record.base?.files ?? 0;
      bytes += record.base?.bytes ?? 0;
      const result = results.get(at);
      if (result === undefined) this.#options.onRecord(record, true);
      else this.#handOn(record, result, batch.startedAtMs);
    }
    this.#options.progress({ files, bytes });
  }

  #handOn(record: TreeRecord, result: StoreFileResult, startedAtMs: number): void {
    const { onRecord } = this.#options;
    if (result.status === "failed") {
      const gone = result.code === "ENOENT" || result.code === "ELOOP" || result.code === "ENOTDIR";
      onRecord(gone ? record : { ...record, unreadable: result.code }, !gone);
      return;
    }
    // Another stamp is another state of the file, or another file that was put in the way: the bytes are not this
    // record's.
    if (result.status === "changing" || !sameStamp(record, result.stamp)) {
      onRecord(record, false);
      return;
    }
    const racy = isRacy(record.metadata.ctimeNs, startedAtMs);
    onRecord({ ...record, content: result.content, ...(racy ? { racy } : {}) }, !racy);
  }
}

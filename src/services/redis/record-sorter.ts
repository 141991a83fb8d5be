import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";

export interface SortedRecord {
  readonly database: number;
  readonly key: Buffer;
  /** What belongs to the key; the sorter does not look into it. */
  readonly bytes: Buffer;
}

/** How many run files are merged at a time. */
const fanIn = 32;
/** What an object and its two buffers cost beside their bytes. */
const overheadBytes = 300;
const headBytes = 16;
const runBufferBytes = 256 * 1024;
const mergedRecords = 1000;

/**
 * Sorts records by database and key in bounded memory: runs of about `memoryBytes` are sorted, written to files in
 * `directory` and merged. What fits into one run never touches the disk.
 */
export class RecordSorter {
  readonly #directory: string;
  readonly #memoryBytes: number;
  #run: SortedRecord[] = [];
  #runBytes = 0;
  #files: string[] = [];
  #made = 0;

  constructor(directory: string, memoryBytes: number) {
    this.#directory = directory;
    this.#memoryBytes = memoryBytes;
  }

  /** Keeps the record's buffers. Returns true when `spill` must be awaited before the next one is added. */
  add(record: SortedRecord): boolean {
    this.#run.push(record);
    this.#runBytes += record.key.length + record.bytes.length + overheadBytes;
    return this.#runBytes >= this.#memoryBytes;
  }

  /** Writes what is in memory to a file. */
  async spill(): Promise<void> {
    this.#run.sort(compare);
    this.#files.push(await this.#write(fromArray(this.#run)));
    this.#run = [];
    this.#runBytes = 0;
  }

  /** All records in order, in batches. Removes its files at the end, also when left early. */
  async *sorted(): AsyncIterable<readonly SortedRecord[]> {
    this.#run.sort(compare);
    try {
      while (this.#files.length > fanIn) {
        const merging = this.#files.slice(0, fanIn);
        const merged = await this.#write(merge(merging.map(readRun)));
        this.#files = [...this.#files.slice(fanIn), merged];
        await Promise.all(merging.map((file) => rm(file)));
      }
      if (this.#files.length === 0) yield this.#run;
      else yield* merge([...this.#files.map(readRun), fromArray(this.#run)]);
    } finally {
      await Promise.all(this.#files.map((file) => rm(file, { force: true })));
    }
  }

  async #write(batches: AsyncIterable<readonly SortedRecord[]>): Promise<string> {
    this.#made += 1;
    const path = join(this.#directory, `sorted-${this.#made}.run`);
    await using file = await open(path, "w", 0o600);
    let parts: Buffer[] = [];
    let size = 0;
    const flush = async (): Promise<void> => {
      const bytes = Buffer.concat(parts);
      for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
      parts = [];
      size = 0;
    };
    for await (const batch of batches) {
      for (const { database, key, bytes } of batch) {
        const head = Buffer.allocUnsafe(headBytes);
        head.writeUInt32LE(database, 0);
        head.writeUInt32LE(key.length, 4);
        head.writeDoubleLE(bytes.length, 8);
        parts.push(head, key, bytes);
        size += headBytes + key.length + bytes.length;
        if (size > 1 << 20) await flush();
      }
    }
    await flush();
    return path;
  }
}

function compare(a: SortedRecord, b: SortedRecord): number {
  return a.database - b.database || Buffer.compare(a.key, b.key);
}

async function* fromArray(records: readonly SortedRecord[]): AsyncIterable<readonly SortedRecord[]> {
  yield records;
}

async function* readRun(path: string): AsyncIterable<readonly SortedRecord[]> {
  await using file = await open(path, "r");
  let rest: Buffer = Buffer.alloc(0);
  let wanted = runBufferBytes;
  for (let position = 0; ;) {
    const more = await readAt(file, position, wanted);
    position += more.length;
    const buffer = rest.length === 0 ? more : Buffer.concat([rest, more]);
    const batch: SortedRecord[] = [];
    let at = 0;
    wanted = runBufferBytes;
    while (at + headBytes <= buffer.length) {
      const keyEnd = at + headBytes + buffer.readUInt32LE(at + 4);
      const end = keyEnd + buffer.readDoubleLE(at + 8);
      if (end > buffer.length) {
        wanted = Math.max(wanted, end - buffer.length);
        break;
      }
      const key = buffer.subarray(at + headBytes, keyEnd);
      batch.push({ database: buffer.readUInt32LE(at), key, bytes: buffer.subarray(keyEnd, end) });
      at = end;
    }
    rest = buffer.subarray(at);
    if (batch.length > 0) yield batch;
    if (more.length > 0) continue;
    if (rest.length > 0) throw new Error(`The sorting file ${path} ends early.`);
    return;
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  return bytes.subarray(0, bytesRead);
}

interface Run {
  readonly iterator: AsyncIterator<readonly SortedRecord[]>;
  batch: readonly SortedRecord[];
  at: number;
}

async function* merge(
  sources: readonly AsyncIterable<readonly SortedRecord[]>[],
): AsyncIterable<readonly SortedRecord[]> {
  const runs: Run[] = sources.map((source) => ({ iterator: source[Symbol.asyncIterator](), batch: [], at: 0 }));
  const advance = async (run: Run): Promise<boolean> => {
    const next = await run.iterator.next();
    run.batch = next.done === true ? [] : next.value;
    run.at = 0;
    return run.batch.length > 0;
  };
  try {
    let open: Run[] = [];
    for (const run of runs) if (await advance(run)) open.push(run);
    let merged: SortedRecord[] = [];
    while (open.length > 0) {
      let least = open[0] as Run;
      for (const run of open) if (compare(head(run), head(least)) < 0) least = run;
      merged.push(head(least));
      least.at += 1;
      if (least.at === least.batch.length && !(await advance(least))) {
        const done = least;
        open = open.filter((run) => run !== done);
      }
      if (merged.length < mergedRecords) continue;
      yield merged;
      merged = [];
    }
    yield merged;
  } finally {
    for (const { iterator } of runs) await iterator.return?.();
  }
}

const head = (run: Run): SortedRecord => run.batch[run.at] as SortedRecord;

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

  /** Takes copies of the record's bytes. */
  async add(record: SortedRecord): Promise<void> {
    this.#run.push({ database: record.database, key: Buffer.from(record.key), bytes: Buffer.from(record.bytes) });
    this.#runBytes += record.key.length + record.bytes.length + overheadBytes;
    if (this.#runBytes < this.#memoryBytes) return;
    this.#run.sort(compare);
    this.#files.push(await this.#write(this.#run));
    this.#run = [];
    this.#runBytes = 0;
  }

  /** All records in order. Removes its files at the end, also when left early. */
  async *sorted(): AsyncIterable<SortedRecord> {
    this.#run.sort(compare);
    try {
      while (this.#files.length > fanIn) {
        const merging = this.#files.slice(0, fanIn);
        const merged = await this.#write(merge(merging.map(readRun)));
        this.#files = [...this.#files.slice(fanIn), merged];
        await Promise.all(merging.map((file) => rm(file)));
      }
      if (this.#files.length === 0) yield* this.#run;
      else yield* merge([...this.#files.map(readRun), fromArray(this.#run)]);
    } finally {
      await Promise.all(this.#files.map((file) => rm(file, { force: true })));
    }
  }

  async #write(records: Iterable<SortedRecord> | AsyncIterable<SortedRecord>): Promise<string> {
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
    for await (const { database, key, bytes } of records) {
      const head = Buffer.alloc(headBytes);
      head.writeUInt32LE(database, 0);
      head.writeUInt32LE(key.length, 4);
      head.writeDoubleLE(bytes.length, 8);
      parts.push(head, key, bytes);
      size += headBytes + key.length + bytes.length;
      if (size > 1 << 20) await flush();
    }
    await flush();
    return path;
  }
}

function compare(a: SortedRecord, b: SortedRecord): number {
  return a.database - b.database || Buffer.compare(a.key, b.key);
}

async function* fromArray(records: readonly SortedRecord[]): AsyncIterable<SortedRecord> {
  yield* records;
}

async function* readRun(path: string): AsyncIterable<SortedRecord> {
  await using file = await open(path, "r");
  let buffer: Buffer = Buffer.alloc(0);
  let position = 0;
  const fill = async (length: number): Promise<boolean> => {
    if (buffer.length >= length) return true;
    const more = await readAt(file, position, Math.max(length - buffer.length, 256 * 1024));
    position += more.length;
    buffer = Buffer.concat([buffer, more]);
    return buffer.length >= length;
  };
  while (await fill(headBytes)) {
    const database = buffer.readUInt32LE(0);
    const keyEnd = headBytes + buffer.readUInt32LE(4);
    const end = keyEnd + buffer.readDoubleLE(8);
    if (!(await fill(end))) throw new Error(`The sorting file ${path} ends early.`);
    yield { database, key: buffer.subarray(headBytes, keyEnd), bytes: buffer.subarray(keyEnd, end) };
    buffer = buffer.subarray(end);
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, position);
  return bytes.subarray(0, bytesRead);
}

async function* merge(runs: readonly AsyncIterable<SortedRecord>[]): AsyncIterable<SortedRecord> {
  const iterators = runs.map((run) => run[Symbol.asyncIterator]());
  try {
    const heads = await Promise.all(iterators.map((iterator) => iterator.next()));
    for (;;) {
      let least: SortedRecord | undefined;
      let leastIndex = -1;
      for (const [index, head] of heads.entries()) {
        if (head.done !== true && (least === undefined || compare(head.value, least) < 0)) {
          least = head.value;
          leastIndex = index;
        }
      }
      if (least === undefined) return;
      yield least;
      heads[leastIndex] = await (iterators[leastIndex] as AsyncIterator<SortedRecord>).next();
    }
  } finally {
    await Promise.all(iterators.map((iterator) => iterator.return?.()));
  }
}

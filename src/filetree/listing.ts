import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { compareEntryPaths, type EntryPath } from "../component/index.ts";
import { LoopBreather } from "./event-loop.ts";
import { decodePath, decodeRecord, encodeRecord, type TreeRecord } from "./tree-record.ts";

const bufferBytes = 262_144;
/** One path in so many is kept in memory, to find others from there. */
const indexStep = 256;

interface IndexPoint {
  readonly path: EntryPath;
  readonly offset: number;
}

/** In memory of its own: each piece of Node's pool would keep all 64 KiB of it, 250 MB for a million entries. */
function keptPath(path: EntryPath): EntryPath {
  const kept = Buffer.allocUnsafeSlow(path.length);
  kept.set(path);
  return kept;
}

/** Writes a listing: records in the order of their paths, into a file, so that memory does not grow with the tree. */
export class ListingWriter {
  readonly #file: string;
  readonly #fd: number;
  readonly #index: IndexPoint[] = [];
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #offset = 0;
  #count = 0;

  constructor(file: string) {
    this.#file = file;
    this.#fd = openSync(file, "w+", 0o600);
  }

  add(record: TreeRecord): void {
    const bytes = encodeRecord(record);
    if (this.#count % indexStep === 0) this.#index.push({ path: keptPath(record.path), offset: this.#offset });
    this.#count += 1;
    this.#offset += bytes.length;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes >= bufferBytes) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#pending);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  finish(): Listing {
    this.#flush();
    return new Listing(this.#file, this.#fd, this.#offset, this.#index, this.#count);
  }

  /** Instead of `finish`: removes what was written. */
  abandon(): void {
    closeSync(this.#fd);
    rmSync(this.#file, { force: true });
  }
}

/** A listing that is written: read in order, or looked up. */
export class Listing {
  readonly #file: string;
  readonly #fd: number;
  readonly #bytes: number;
  readonly #index: readonly IndexPoint[];
  readonly count: number;
  #closed = false;

  constructor(file: string, fd: number, bytes: number, index: readonly IndexPoint[], count: number) {
    this.#file = file;
    this.#fd = fd;
    this.#bytes = bytes;
    this.#index = index;
    this.count = count;
  }

  async *records(): AsyncGenerator<TreeRecord> {
    const breather = new LoopBreather();
    for (const record of this.#decode(0, this.#bytes)) {
      if (breather.due) await breather.breathe();
      yield record;
    }
  }

  /** The record of this very path. Reads some hundred records: for few lookups, not for a whole tree. */
  find(path: EntryPath): TreeRecord | undefined {
    let low = 0;
    let high = this.#index.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareEntryPaths((this.#index[middle] as IndexPoint).path, path) <= 0) low = middle + 1;
      else high = middle;
    }
    const start = this.#index[low - 1]?.offset;
    if (start === undefined) return undefined;
    const bytes = this.#read(start, (this.#index[low]?.offset ?? this.#bytes) - start);
    for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32LE(at)) {
      if (decodePath(bytes, at).equals(path)) return decodeRecord(bytes, at);
    }
    return undefined;
  }

  *#decode(start: number, end: number): Generator<TreeRecord> {
    let rest: Buffer = Buffer.alloc(0);
    let offset = start;
    while (offset < end) {
      const block = this.#read(offset, Math.min(Math.max(bufferBytes, missingBytes(rest)), end - offset));
      offset += block.length;
      rest = rest.length === 0 ? block : Buffer.concat([rest, block]);
      let at = 0;
      while (at + 4 <= rest.length && at + 4 + rest.readUInt32LE(at) <= rest.length) {
        yield decodeRecord(rest, at);
        at += 4 + rest.readUInt32LE(at);
      }
      rest = rest.subarray(at);
    }
  }

  #read(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length;) {
      const read = readSync(this.#fd, bytes, at, length - at, offset + at);
      if (read === 0) throw new RangeError(`The listing ${this.#file} ends at ${offset + at} of ${this.#bytes} bytes.`);
      at += read;
    }
    return bytes;
  }

  /** Closes and removes the file. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
    rmSync(this.#file, { force: true });
  }
}

/** How many bytes the record that `rest` begins still lacks. */
const missingBytes = (rest: Buffer): number => (rest.length < 4 ? 0 : 4 + rest.readUInt32LE(0) - rest.length);

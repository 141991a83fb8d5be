import { HoldfastError } from "../../base/index.ts";
import type { BlobType } from "../pack/pack-format.ts";

/** What another thread needs to see the same index. */
export interface SharedBlobIndex {
  readonly counts: SharedArrayBuffer;
  readonly buckets: SharedArrayBuffer;
  /** Growable: grows in place, for all threads at once. */
  readonly entries: SharedArrayBuffer;
}

export interface BlobLocation {
  /** Number of the pack, as given to `place`. */
  readonly pack: number;
  readonly offset: number;
  /** Bytes of the envelope. */
  readonly length: number;
  /** Bytes of the plaintext if it is compressed, else 0. */
  readonly uncompressedLength: number;
}

/** Words of 32 bits of an entry: the id, then these. */
const idWords = 8;
const nextAt = 8;
const packAt = 9;
const offsetAt = 10;
const lengthAt = 11;
const uncompressedAt = 12;
const entryWords = 13;

/** The top bit of the pack's word tells trees from data; the rest all ones means "claimed, not yet in a pack". */
const treeBit = 0x8000_0000;
const unplaced = 0x7fff_ffff;

const maxEntries = 2 ** 26;
const growEntries = 2 ** 16;
const minBuckets = 2 ** 20;

/**
 * Which blobs the repository has and where, in shared memory: every worker looks up and claims without a message. 52
 * bytes a blob and 4 to 8 of the table. Entries are only ever added. A bucket is a chain to whose head an entry is put by
 * compare-and-swap, so that of two threads that claim one blob exactly one wins.
 */
export class BlobIndex {
  readonly #counts: Uint32Array;
  #buckets: Uint32Array;
  readonly #entries: Uint32Array;
  readonly #shared: { readonly counts: SharedArrayBuffer; readonly entries: SharedArrayBuffer };
  readonly #key = new Uint32Array(idWords);
  readonly #keyBytes = new Uint8Array(this.#key.buffer);

  /** An empty index, or another thread's. */
  constructor(shared?: SharedBlobIndex) {
    const counts = shared?.counts ?? new SharedArrayBuffer(4);
    const entries = shared?.entries ?? growableEntries();
    this.#shared = { counts, entries };
    this.#counts = new Uint32Array(counts);
    this.#entries = new Uint32Array(entries);
    this.#buckets = new Uint32Array(shared?.buckets ?? new SharedArrayBuffer(minBuckets * 4));
  }

  /** For another thread. From now on the table keeps its size; chains grow instead. */
  share(): SharedBlobIndex {
    return { ...this.#shared, buckets: this.#buckets.buffer as SharedArrayBuffer };
  }

  /** Entries, the ones lost in a race included. */
  get size(): number {
    return Atomics.load(this.#counts, 0);
  }

  /** Bytes of memory that the index takes. */
  get memoryBytes(): number {
    return this.#entries.byteLength + this.#buckets.byteLength;
  }

  has(type: BlobType, id: Uint8Array): boolean {
    this.#keyBytes.set(id);
    return this.#search(this.#head(), 0, type) !== 0;
  }

  /** Where the blob lies; undefined if it is unknown, or claimed and not yet placed. */
  locate(type: BlobType, id: Uint8Array): BlobLocation | undefined {
    const entry = this.entryOf(type, id);
    return entry === 0 ? undefined : this.locationOf(entry);
  }

  /** Number of the blob's entry, from 1 to `size`; 0 if it is unknown. Entries keep their numbers. */
  entryOf(type: BlobType, id: Uint8Array): number {
    this.#keyBytes.set(id);
    return this.#search(this.#head(), 0, type);
  }

  /** Whether an entry is a tree's. */
  isTree(entry: number): boolean {
    return Atomics.load(this.#entries, entry * entryWords + packAt) >= treeBit;
  }

  /** Where the blob of an entry lies; undefined for one that is claimed only. */
  locationOf(entry: number): BlobLocation | undefined {
    const base = entry * entryWords;
    const pack = Atomics.load(this.#entries, base + packAt) & unplaced;
    if (pack === unplaced) return undefined;
    return {
      pack,
      offset: this.#entries[base + offsetAt] as number,
      length: this.#entries[base + lengthAt] as number,
      uncompressedLength: this.#entries[base + uncompressedAt] as number,
    };
  }

  /** Says that a known blob lies elsewhere now. For one thread alone. */
  move(entry: number, location: BlobLocation): void {
    const base = entry * entryWords;
    const entries = this.#entries;
    entries[base + offsetAt] = location.offset;
    entries[base + lengthAt] = location.length;
    entries[base + uncompressedAt] = location.uncompressedLength;
    entries[base + packAt] = location.pack + ((entries[base + packAt] as number) >= treeBit ? treeBit : 0);
  }

  /** True for exactly one caller on all threads: that one must store the blob. False if the blob is known. */
  claim(type: BlobType, id: Uint8Array): boolean {
    this.#keyBytes.set(id);
    return this.#insert(type) > 0;
  }

  /** Says where a blob lies, of an index file or of a pack just saved. The first place stays. */
  place(type: BlobType, id: Uint8Array, location: BlobLocation): void {
    if (location.pack >= unplaced) throw new RangeError(`Pack number ${location.pack} is too large.`);
    this.#keyBytes.set(id);
    const base = Math.abs(this.#insert(type)) * entryWords;
    const entries = this.#entries;
    if ((Atomics.load(entries, base + packAt) & unplaced) !== unplaced) return;
    entries[base + offsetAt] = location.offset;
    entries[base + lengthAt] = location.length;
    entries[base + uncompressedAt] = location.uncompressedLength;
    Atomics.store(entries, base + packAt, location.pack + (type === "tree" ? treeBit : 0));
  }

  /** Makes the table as large as the number of entries asks for. Only before `share`. */
  fit(): void {
    if (this.size <= this.#buckets.length) return;
    let length = this.#buckets.length;
    while (length < this.size) length *= 2;
    const buckets = new Uint32Array(new SharedArrayBuffer(length * 4));
    for (let entry = 1; entry <= this.size; entry += 1) {
      const base = entry * entryWords;
      const bucket = (this.#entries[base] as number) & (length - 1);
      this.#entries[base + nextAt] = buckets[bucket] as number;
      buckets[bucket] = entry;
    }
    this.#buckets = buckets;
  }

  #head(): number {
    return Atomics.load(this.#buckets, this.#bucket());
  }

  #bucket(): number {
    // Ids are SHA-256 sums: any bits of them are as good as a hash.
    return (this.#key[0] as number) & (this.#buckets.length - 1);
  }

  /** The entry of the key in the chain from `head` to before `stop`, or 0. */
  #search(head: number, stop: number, type: BlobType): number {
    const entries = this.#entries;
    const key = this.#key;
    const tree = type === "tree";
    for (let entry = head; entry !== stop; entry = entries[entry * entryWords + nextAt] as number) {
      const base = entry * entryWords;
      let word = 0;
      while (word < idWords && entries[base + word] === key[word]) word += 1;
      if (word === idWords && Atomics.load(entries, base + packAt) >= treeBit === tree) return entry;
    }
    return 0;
  }

  /** The number of the key's entry if it is new, the same negated if it was there. */
  #insert(type: BlobType): number {
    const bucket = this.#bucket();
    let head = Atomics.load(this.#buckets, bucket);
    const known = this.#search(head, 0, type);
    if (known !== 0) return -known;
    const entry = this.#allocate();
    const base = entry * entryWords;
    this.#entries.set(this.#key, base);
    this.#entries[base + packAt] = unplaced + (type === "tree" ? treeBit : 0);
    for (;;) {
      this.#entries[base + nextAt] = head;
      const seen = Atomics.compareExchange(this.#buckets, bucket, head, entry);
      if (seen === head) return entry;
      const rival = this.#search(seen, head, type);
      // The entry taken for it stays unused: no chain leads to it.
      if (rival !== 0) return -rival;
      head = seen;
    }
  }

  #allocate(): number {
    const entry = Atomics.add(this.#counts, 0, 1) + 1;
    const { entries } = this.#shared;
    const neededBytes = (entry + 1) * entryWords * 4;
    while (entries.byteLength < neededBytes) {
      const size = Math.min(entries.byteLength + growEntries * entryWords * 4, entries.maxByteLength);
      if (size < neededBytes) {
        throw new HoldfastError("REPOSITORY_UNSUPPORTED", `The repository has more than ${entry} blobs.`, {
          facts: { blobs: entry },
          remedy: "Use several repositories, for instance one per project.",
        });
      }
      try {
        entries.grow(size);
      } catch (error) {
        // Another thread grew it further in the meantime.
        if (!(error instanceof RangeError) || entries.byteLength < size) throw error;
      }
    }
    return entry;
  }
}

function growableEntries(): SharedArrayBuffer {
  const initial = growEntries * entryWords * 4;
  // Only address space is reserved; a process with a limit on it gets a smaller index.
  for (let entries = maxEntries; ; entries /= 2) {
    try {
      return new SharedArrayBuffer(initial, { maxByteLength: entries * entryWords * 4 });
    } catch (error) {
      if (!(error instanceof RangeError) || entries <= growEntries) throw error;
    }
  }
}

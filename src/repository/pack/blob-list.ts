import type { BlobType, PackBlob } from "./pack-format.ts";

/** id (32), envelope length (4), length of the plaintext if compressed (4), little-endian. */
const entryBytes = 40;
const idBytes = 32;
const firstEntries = 256;

/**
 * The blobs of a pack in the order in which they lie in it, as one piece of memory: as objects, those of a pack of tiny
 * files take tens of megabytes. What an iteration gives are views of it.
 */
export class BlobList implements Iterable<PackBlob> {
  readonly type: BlobType;
  readonly bytes: Uint8Array<ArrayBuffer>;

  /** `bytes` are those of another list. */
  constructor(type: BlobType, bytes: Uint8Array<ArrayBuffer>) {
    this.type = type;
    this.bytes = bytes;
  }

  get length(): number {
    return this.bytes.length / entryBytes;
  }

  *[Symbol.iterator](): Generator<PackBlob> {
    const { type } = this;
    const bytes = Buffer.from(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
    let offset = 0;
    for (let at = 0; at < bytes.length; at += entryBytes) {
      const length = bytes.readUInt32LE(at + idBytes);
      const uncompressedLength = bytes.readUInt32LE(at + idBytes + 4);
      yield { type, id: bytes.subarray(at, at + idBytes), offset, length, uncompressedLength };
      offset += length;
    }
  }
}

/** Makes such a list. */
export class BlobListBuilder {
  readonly #type: BlobType;
  #bytes = Buffer.from(new ArrayBuffer(firstEntries * entryBytes));
  #used = 0;

  constructor(type: BlobType) {
    this.#type = type;
  }

  get length(): number {
    return this.#used / entryBytes;
  }

  add(id: Uint8Array, length: number, uncompressedLength: number): void {
    if (this.#used === this.#bytes.length) {
      const bytes = Buffer.from(new ArrayBuffer(this.#used * 2));
      bytes.set(this.#bytes);
      this.#bytes = bytes;
    }
    this.#bytes.set(id, this.#used);
    this.#bytes.writeUInt32LE(length, this.#used + idBytes);
    this.#bytes.writeUInt32LE(uncompressedLength, this.#used + idBytes + 4);
    this.#used += entryBytes;
  }

  /** The list so far, in memory of its own; the next one begins. */
  take(): BlobList {
    const list = new BlobList(this.#type, new Uint8Array(this.#bytes.subarray(0, this.#used)));
    this.#used = 0;
    return list;
  }
}

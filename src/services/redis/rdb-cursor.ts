import { HoldfastError } from "../../base/index.ts";

/** Thrown by a cursor at the end of what has arrived; the reader tries again with more. */
export const needMore = new Error("more bytes of the RDB file are needed");

export function rdbDamaged(what: string): HoldfastError {
  return new HoldfastError("SERVICE_UNSUPPORTED", `The RDB data cannot be read: ${what}.`, {
    remedy: "It is damaged, or written by a newer server than this version of Holdfast knows.",
  });
}

/** Reads the elements of the RDB format (rdb.h and rdb.c of Redis) from a buffer. */
export class RdbCursor {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  skip(length: number): void {
    if (this.at + length > this.bytes.length) throw needMore;
    this.at += length;
  }

  byte(): number {
    if (this.at >= this.bytes.length) throw needMore;
    return this.bytes[this.at++] as number;
  }

  take(length: number): Buffer {
    const from = this.at;
    this.skip(length);
    return this.bytes.subarray(from, this.at);
  }

  /** A length: 6, 14, 32 or 64 bits, big-endian. */
  length(): number {
    const head = this.byte();
    if (head >> 6 === 3) throw rdbDamaged(`a length was expected at byte ${this.at - 1} of a record`);
    return this.#length(head);
  }

  #length(head: number): number {
    if (head >> 6 === 0) return head & 63;
    if (head >> 6 === 1) return ((head & 63) << 8) | this.byte();
    if (head === 0x80) return this.take(4).readUInt32BE(0);
    if (head !== 0x81) throw rdbDamaged(`unknown length encoding ${head}`);
    // Lengths beyond 2^53 occur only as 64-bit numbers that are skipped (stream ids, counters), never as sizes.
    return Number(this.take(8).readBigUInt64BE(0));
  }

  /** Skips a string in any encoding. */
  skipString(): void {
    const head = this.byte();
    if (head >> 6 !== 3) return this.skip(this.#length(head));
    switch (head & 63) {
      case 0:
        return this.skip(1);
      case 1:
        return this.skip(2);
      case 2:
        return this.skip(4);
      case 3: {
        const packed = this.length();
        this.length();
        return this.skip(packed);
      }
      default:
        throw rdbDamaged(`unknown string encoding ${head & 63}`);
    }
  }

  /** A string as plain bytes: integers as decimal text, compressed ones unpacked. */
  string(): Buffer {
    const head = this.byte();
    if (head >> 6 !== 3) return this.take(this.#length(head));
    switch (head & 63) {
      case 0:
        return Buffer.from(String(this.take(1).readInt8(0)));
      case 1:
        return Buffer.from(String(this.take(2).readInt16LE(0)));
      case 2:
        return Buffer.from(String(this.take(4).readInt32LE(0)));
      case 3: {
        const packed = this.length();
        const size = this.length();
        return unpackLzf(this.take(packed), size);
      }
      default:
        throw rdbDamaged(`unknown string encoding ${head & 63}`);
    }
  }
}

/** Three bytes stand for 264 at the most. */
const lzfRatio = 88;

function unpackLzf(packed: Buffer, size: number): Buffer {
  if (size > packed.length * lzfRatio) throw rdbDamaged("a compressed string does not unpack");
  const plain = Buffer.alloc(size);
  let from = 0;
  let to = 0;
  while (from < packed.length) {
    const control = packed[from++] as number;
    if (control < 32) {
      packed.copy(plain, to, from, from + control + 1);
      from += control + 1;
      to += control + 1;
      continue;
    }
    let length = control >> 5;
    if (length === 7) length += packed[from++] ?? 0;
    let source = to - ((control & 31) << 8) - (packed[from++] ?? 0) - 1;
    if (source < 0 || to + length + 2 > size) throw rdbDamaged("a compressed string does not unpack");
    for (let count = length + 2; count > 0; count -= 1) plain[to++] = plain[source++] as number;
  }
  if (to !== size) throw rdbDamaged("a compressed string does not unpack");
  return plain;
}

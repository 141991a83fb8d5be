import type { EntryBase } from "../component/index.ts";

/**
 * Of a directory: what was there as in the previous backup when it was scanned. That has no records of its own, so that
 * what is known of a tree is proportional to its directories and to what differs.
 */
export interface RecordBase extends EntryBase {
  /** Neither files nor directories. */
  readonly others: number;
  readonly diskBytes: number;
  /** `DirectoryDigest` of all that was in the directory. */
  readonly digest: Uint8Array;
}

const idBytes = 32;
const fixedBytes = 2 * idBytes + 5 * 8;

/** For `encodeRecord`. The tree's id, the digest, numbers, and the names that it is without, each with a length before it. */
export function encodeBase(base: RecordBase): Buffer {
  let length = fixedBytes;
  for (const name of base.without) length += 4 + name.length;
  const bytes = Buffer.allocUnsafe(length);
  bytes.set(base.tree, 0);
  bytes.set(base.digest, idBytes);
  const numbers = [base.files, base.others, base.bytes, base.diskBytes, base.whole ? 1 : 0];
  for (const [at, number] of numbers.entries()) bytes.writeDoubleLE(number, 2 * idBytes + 8 * at);
  let at = fixedBytes;
  for (const name of base.without) {
    bytes.writeUInt32LE(name.length, at);
    bytes.set(name, at + 4);
    at += 4 + name.length;
  }
  return bytes;
}

/** The base again; parts of it are views of `bytes`. */
export function decodeBase(bytes: Buffer): RecordBase {
  const number = (at: number): number => bytes.readDoubleLE(2 * idBytes + 8 * at);
  const without: Buffer[] = [];
  for (let at = fixedBytes; at < bytes.length;) {
    const end = at + 4 + bytes.readUInt32LE(at);
    without.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return {
    tree: bytes.subarray(0, idBytes),
    digest: bytes.subarray(idBytes, 2 * idBytes),
    files: number(0),
    others: number(1),
    bytes: number(2),
    diskBytes: number(3),
    whole: number(4) === 1,
    without,
  };
}

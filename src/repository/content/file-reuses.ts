import type { FileToWrite } from "../../component/index.ts";
import { encodeTime, type EncodedProperties } from "./blob-writes.ts";

/** A new file to fill from a candidate. `sizes` has the plaintext length of each blob. */
export interface FileReuse extends FileToWrite {
  readonly candidate: Buffer;
  readonly sizes: readonly number[];
}

// An entry: u32 path length, candidate's length, number of blobs, flags, mode, uid, gid, 0; i64 seconds and nanoseconds of
// the time; i64 change time in nanoseconds; u64 inode; then path, candidate, ids of 32 bytes, sizes as u32. Little-endian.
const timeAt = 32;
const ctimeAt = 48;
const inodeAt = 56;
const pathAt = 64;
const propertiesFlag = 1;
const linkFlag = 2;

/** The files as one piece of memory, which crosses threads for the price of one. */
export function encodeReuses(files: readonly FileReuse[]): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const { path, candidate, sizes } of files) size += pathAt + path.length + candidate.length + sizes.length * 36;
  const bytes = Buffer.from(new ArrayBuffer(size));
  let at = 0;
  for (const { path, candidate, content, sizes, properties, linkIfSame } of files) {
    bytes.writeUInt32LE(path.length, at);
    bytes.writeUInt32LE(candidate.length, at + 4);
    bytes.writeUInt32LE(sizes.length, at + 8);
    if (properties !== undefined) {
      bytes.writeUInt32LE(propertiesFlag | (linkIfSame === undefined ? 0 : linkFlag), at + 12);
      bytes.writeUInt32LE(properties.mode, at + 16);
      bytes.writeUInt32LE(properties.uid, at + 20);
      bytes.writeUInt32LE(properties.gid, at + 24);
      encodeTime(properties.mtimeNs, bytes, at + timeAt);
    }
    if (linkIfSame !== undefined) {
      bytes.writeBigInt64LE(linkIfSame.ctimeNs, at + ctimeAt);
      bytes.writeBigUInt64LE(linkIfSame.inode, at + inodeAt);
    }
    at += pathAt;
    for (const part of [path, candidate, content.blobIds]) {
      bytes.set(part, at);
      at += part.length;
    }
    for (const bytesOfBlob of sizes) at = bytes.writeUInt32LE(bytesOfBlob, at);
  }
  return new Uint8Array(bytes.buffer);
}

/** A file as the worker finds it. */
export interface EncodedReuse {
  readonly path: Buffer;
  readonly candidate: Buffer;
  readonly blobIds: Buffer;
  readonly sizes: readonly number[];
  readonly sizeBytes: number;
  readonly properties: EncodedProperties | undefined;
  /** What says without reading that the candidate is the same; undefined if it must not be linked. */
  readonly link: { readonly mtimeNs: bigint; readonly ctimeNs: bigint; readonly inode: bigint } | undefined;
}

export function* decodeReuses(encoded: Uint8Array): Generator<EncodedReuse> {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
  for (let start = 0; start < bytes.length;) {
    const flags = bytes.readUInt32LE(start + 12);
    let at = start + pathAt;
    const part = (length: number): Buffer => bytes.subarray(at, (at += length));
    const path = part(bytes.readUInt32LE(start));
    const candidate = part(bytes.readUInt32LE(start + 4));
    const blobs = bytes.readUInt32LE(start + 8);
    const blobIds = part(blobs * 32);
    const sizes: number[] = [];
    let sizeBytes = 0;
    for (let blob = 0; blob < blobs; blob += 1) {
      const size = bytes.readUInt32LE(at);
      at += 4;
      sizes.push(size);
      sizeBytes += size;
    }
    yield {
      path,
      candidate,
      blobIds,
      sizes,
      sizeBytes,
      properties:
        (flags & propertiesFlag) === 0
          ? undefined
          : {
              mode: bytes.readUInt32LE(start + 16),
              uid: bytes.readUInt32LE(start + 20),
              gid: bytes.readUInt32LE(start + 24),
              mtime: bytes.subarray(start + timeAt, start + timeAt + 16),
            },
      link:
        (flags & linkFlag) === 0
          ? undefined
          : {
              mtimeNs: bytes.readBigInt64LE(start + timeAt) * 1_000_000_000n + bytes.readBigInt64LE(start + timeAt + 8),
              ctimeNs: bytes.readBigInt64LE(start + ctimeAt),
              inode: bytes.readBigUInt64LE(start + inodeAt),
            },
    };
    start = at;
  }
}

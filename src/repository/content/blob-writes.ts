import type { FileProperties } from "../../component/index.ts";

/** Where a blob's plaintext is to be written: into an open file, or as a whole new file. */
export type BlobTarget =
  | { readonly kind: "open"; readonly fd: number; readonly position: number }
  | { readonly kind: "create"; readonly path: Uint8Array; readonly properties: FileProperties | undefined };

/** One blob that a file needs, and where it lies. */
export interface BlobWrite {
  /** Number of the pack in the index. */
  readonly pack: number;
  /** Of the envelope; within the pack, once decoded within the range that was loaded. */
  readonly offset: number;
  readonly length: number;
  /** Bytes of the plaintext if it is compressed, else 0. */
  readonly uncompressedLength: number;
  readonly id: Uint8Array;
  /** The owner's number for the file. */
  readonly file: number;
  readonly target: BlobTarget;
}

// An entry: u32 offset, length, uncompressed length, file, path length, flags, mode, uid, gid, file descriptor; f64 position;
// i64 seconds and nanoseconds of the time; 32 bytes of id; the path. Little-endian.
const positionAt = 40;
const timeAt = 48;
const idAt = 64;
const pathAt = 96;
const createFlag = 1;
const propertiesFlag = 2;
const second = 1_000_000_000n;

/** The writes as one piece of memory, which crosses threads for the price of one. `base` is taken off the offsets. */
export function encodeWrites(writes: readonly BlobWrite[], base: number): Uint8Array<ArrayBuffer> {
  let size = 0;
  for (const { target } of writes) size += pathAt + (target.kind === "create" ? target.path.length : 0);
  const bytes = Buffer.from(new ArrayBuffer(size));
  let at = 0;
  for (const write of writes) {
    const { target } = write;
    bytes.writeUInt32LE(write.offset - base, at);
    bytes.writeUInt32LE(write.length, at + 4);
    bytes.writeUInt32LE(write.uncompressedLength, at + 8);
    bytes.writeUInt32LE(write.file, at + 12);
    bytes.set(write.id, at + idAt);
    if (target.kind === "open") {
      bytes.writeUInt32LE(target.fd, at + 36);
      bytes.writeDoubleLE(target.position, at + positionAt);
      at += pathAt;
      continue;
    }
    const { path, properties } = target;
    bytes.writeUInt32LE(path.length, at + 16);
    bytes.writeUInt32LE(createFlag | (properties === undefined ? 0 : propertiesFlag), at + 20);
    if (properties !== undefined) {
      bytes.writeUInt32LE(properties.mode, at + 24);
      bytes.writeUInt32LE(properties.uid, at + 28);
      bytes.writeUInt32LE(properties.gid, at + 32);
      encodeTime(properties.mtimeNs, bytes, at + timeAt);
    }
    bytes.set(path, at + pathAt);
    at += pathAt + path.length;
  }
  return new Uint8Array(bytes.buffer);
}

/** Writes a time as a timespec: seconds and nanoseconds, 64 bits each. */
export function encodeTime(ns: bigint, bytes: Buffer, at: number): void {
  // Floored, so that the nanoseconds are positive before 1970 too.
  const nanoseconds = ((ns % second) + second) % second;
  bytes.writeBigInt64LE((ns - nanoseconds) / second, at);
  bytes.writeBigInt64LE(nanoseconds, at + 8);
}

/** What a new file gets, as the system's calls want it. */
export interface EncodedProperties {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** A timespec: seconds and nanoseconds, 64 bits each. */
  readonly mtime: Uint8Array;
}

/** One write as the worker finds it. `path` undefined: into the open file `fd`. */
export interface EncodedWrite {
  readonly offset: number;
  readonly length: number;
  readonly uncompressedLength: number;
  readonly id: Uint8Array;
  readonly file: number;
  readonly fd: number;
  readonly position: number;
  readonly path: Buffer | undefined;
  readonly properties: EncodedProperties | undefined;
}

export function* decodeWrites(encoded: Uint8Array): Generator<EncodedWrite> {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.length);
  for (let at = 0; at < bytes.length;) {
    const flags = bytes.readUInt32LE(at + 20);
    const end = at + pathAt + bytes.readUInt32LE(at + 16);
    yield {
      offset: bytes.readUInt32LE(at),
      length: bytes.readUInt32LE(at + 4),
      uncompressedLength: bytes.readUInt32LE(at + 8),
      id: bytes.subarray(at + idAt, at + pathAt),
      file: bytes.readUInt32LE(at + 12),
      fd: bytes.readUInt32LE(at + 36),
      position: bytes.readDoubleLE(at + positionAt),
      path: (flags & createFlag) === 0 ? undefined : bytes.subarray(at + pathAt, end),
      properties:
        (flags & propertiesFlag) === 0
          ? undefined
          : {
              mode: bytes.readUInt32LE(at + 24),
              uid: bytes.readUInt32LE(at + 28),
              gid: bytes.readUInt32LE(at + 32),
              mtime: bytes.subarray(at + timeAt, at + timeAt + 16),
            },
    };
    at = end;
  }
}

import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { messageOf } from "../../base/index.ts";
import { damaged } from "../damage.ts";

/** More than the largest index that a pack of restic can make necessary. */
export const maxUnpackedBytes = 256 * 1024 * 1024;
/** Larger than any blob that restic writes: 8 MiB of data, or a tree of some 500,000 nodes. */
export const maxBlobBytes = 256 * 1024 * 1024;

const compressedMark = 0x02;

/** The plaintext of an index, snapshot or lock file: 0x02 and one zstd frame of its JSON. */
export function encodeUnpacked(json: string | Uint8Array): Buffer {
  // Of an index, mostly ids, level 1 makes less than level 3 does, in 40 % of the time.
  const frame = zstdCompressSync(json, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  return Buffer.concat([Buffer.of(compressedMark), frame]);
}

/** The JSON bytes of such a plaintext, at most 256 MiB. @throws HoldfastError REPOSITORY_DAMAGED naming `what` */
export function decodeUnpacked(plaintext: Uint8Array, what: string): Buffer {
  const first = plaintext[0];
  const bytes = Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  if (first === 0x7b || first === 0x5b) return bytes;
  if (first !== compressedMark) throw damaged(`The ${what} is of an unknown encoding.`);
  return decompressFrame(bytes.subarray(1), maxUnpackedBytes, what);
}

/** One zstd frame, never more than `maxBytes` of output. @throws HoldfastError REPOSITORY_DAMAGED naming `what` */
export function decompressFrame(frame: Uint8Array, maxBytes: number, what: string): Buffer {
  try {
    return zstdDecompressSync(frame, { maxOutputLength: maxBytes });
  } catch (error) {
    throw damaged(`The ${what} cannot be decompressed: ${messageOf(error)}.`, {}, error);
  }
}

import { constants, zstdCompressSync } from "node:zlib";

/** Below this zstd's frame costs more than it saves. */
const minBytes = 64;
/** From this size on a sample decides whether compressing is worth its time. */
const sampledBytes = 64 << 10;
const samplePieceBytes = 4 << 10;
/** Kept raw if compression saves less than this share. */
const minSavedRatio = 0.03;

const level = 1;

/** zstd's window for inputs of unknown size at this level. */
const maxWindowLog = 19;
const minWindowLog = 10;

function compress(bytes: Uint8Array): Buffer {
  // A window that just holds the input spares setting up a large one: a third of the time for 4 kB.
  const windowLog = Math.min(maxWindowLog, Math.max(minWindowLog, 32 - Math.clz32(bytes.length - 1)));
  return zstdCompressSync(bytes, {
    chunkSize: Math.max(1024, bytes.length + (bytes.length >>> 7) + 128),
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: windowLog },
  });
}

const isWorth = (compressedBytes: number, bytes: number): boolean => compressedBytes <= bytes * (1 - minSavedRatio);

/** A zstd frame, or undefined where it would not be smaller. Samples large blobs in four places first. */
export function compressBlob(bytes: Uint8Array): Buffer | undefined {
  if (bytes.length < minBytes) return undefined;
  if (bytes.length >= sampledBytes && !sampleCompresses(bytes)) return undefined;
  const frame = compress(bytes);
  return isWorth(frame.length, bytes.length) ? frame : undefined;
}

/** Trees are always compressed, as restic does. */
export function compressTree(bytes: Uint8Array): Buffer {
  return compress(bytes);
}

function sampleCompresses(bytes: Uint8Array): boolean {
  const step = Math.floor((bytes.length - samplePieceBytes) / 3);
  for (let piece = 0; piece < 4; piece += 1) {
    const sample = bytes.subarray(piece * step, piece * step + samplePieceBytes);
    if (isWorth(compress(sample).length, sample.length)) return true;
  }
  return false;
}

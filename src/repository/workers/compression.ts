import { threadZstd } from "../zstd/zstd.ts";

/** Below this zstd's frame costs more than it saves. */
const minBytes = 64;
/** From this size on a sample decides whether compressing is worth its time. */
const sampledBytes = 64 << 10;
const samplePieceBytes = 4 << 10;
/** Kept raw if compression saves less than this share. */
const minSavedRatio = 0.03;

const isWorth = (compressedBytes: number, bytes: number): boolean => compressedBytes <= bytes * (1 - minSavedRatio);

/**
 * A zstd frame, good until the next call, or undefined where it would not be smaller. Samples large blobs in four places
 * first.
 */
export function compressBlob(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < minBytes) return undefined;
  if (bytes.length >= sampledBytes && !sampleCompresses(bytes)) return undefined;
  const frame = threadZstd().compress(bytes);
  return isWorth(frame.length, bytes.length) ? frame : undefined;
}

/** Trees are always compressed, as restic does. The frame is good until the next call. */
export function compressTree(bytes: Uint8Array): Uint8Array {
  return threadZstd().compress(bytes);
}

function sampleCompresses(bytes: Uint8Array): boolean {
  const step = Math.floor((bytes.length - samplePieceBytes) / 3);
  for (let piece = 0; piece < 4; piece += 1) {
    const sample = bytes.subarray(piece * step, piece * step + samplePieceBytes);
    if (isWorth(threadZstd().compress(sample).length, sample.length)) return true;
  }
  return false;
}

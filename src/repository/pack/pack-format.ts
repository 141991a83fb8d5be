import { envelopeOverhead } from "../crypto/envelope.ts";
import { damaged } from "../damage.ts";

export type BlobType = "data" | "tree";

/** One blob of a pack, as the pack's header and the index describe it. */
export interface PackBlob {
  readonly type: BlobType;
  /** SHA-256 of the plaintext, 32 bytes. */
  readonly id: Uint8Array;
  /** Where its envelope begins in the pack. */
  readonly offset: number;
  /** Bytes of its envelope. */
  readonly length: number;
  /** Bytes of the plaintext if the envelope holds a zstd frame; 0 if it holds the plaintext itself. */
  readonly uncompressedLength: number;
}

const idSize = 32;
const plainEntrySize = 1 + 4 + idSize;
const compressedEntrySize = plainEntrySize + 4;
/** The pack ends with the length of its header's envelope: 4 bytes, little-endian. */
export const packTrailerSize = 4;
/** restic refuses longer headers. */
export const maxHeaderBytes = 16 * 1024 * 1024;
/** The smallest pack: one empty blob. */
export const minPackBytes = envelopeOverhead + plainEntrySize + packTrailerSize;
const maxUint32 = 0xffff_ffff;

const entrySize = (compressed: boolean): number => (compressed ? compressedEntrySize : plainEntrySize);

/** Bytes that a blob takes in its pack's header. */
export const packEntryBytes = ({ uncompressedLength }: Pick<PackBlob, "uncompressedLength">): number =>
  entrySize(uncompressedLength > 0);

/** The plaintext of a pack's header. Blobs follow each other in the pack without gaps, in this order. */
export function encodePackHeader(blobs: Iterable<Omit<PackBlob, "offset">>): Buffer {
  let size = 0;
  for (const blob of blobs) size += entrySize(blob.uncompressedLength > 0);
  const header = Buffer.allocUnsafe(size);
  let at = 0;
  for (const blob of blobs) {
    const compressed = blob.uncompressedLength > 0;
    header[at] = (blob.type === "tree" ? 1 : 0) + (compressed ? 2 : 0);
    at = header.writeUInt32LE(blob.length, at + 1);
    if (compressed) at = header.writeUInt32LE(blob.uncompressedLength, at);
    header.set(blob.id, at);
    at += idSize;
  }
  return header;
}

/** Bytes of the whole pack file that holds these blobs. */
export function packSize(blobs: Iterable<Pick<PackBlob, "length" | "uncompressedLength">>): number {
  let size = envelopeOverhead + packTrailerSize;
  for (const blob of blobs) size += blob.length + entrySize(blob.uncompressedLength > 0);
  return size;
}

/** Length of the header's envelope from the last 4 bytes of a pack. @throws HoldfastError REPOSITORY_DAMAGED */
export function decodePackTrailer(trailer: Uint8Array, packBytes: number, what: string): number {
  if (packBytes < minPackBytes || trailer.length !== packTrailerSize) {
    throw damaged(`The ${what} is too short: ${packBytes} bytes.`);
  }
  const length = Buffer.from(trailer.buffer, trailer.byteOffset, trailer.length).readUInt32LE(0);
  if (length < envelopeOverhead + plainEntrySize || length > packBytes - packTrailerSize || length > maxHeaderBytes) {
    throw damaged(`The ${what} says that its header has ${length} bytes, which cannot be.`);
  }
  return length;
}

/**
 * The blobs that a header's plaintext lists. `blobBytes` is the size of the pack without header and trailer, which the
 * blobs must fill exactly. @throws HoldfastError REPOSITORY_DAMAGED
 */
export function decodePackHeader(header: Uint8Array, blobBytes: number, what: string): PackBlob[] {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.length);
  const blobs: PackBlob[] = [];
  let offset = 0;
  let at = 0;
  while (at < bytes.length) {
    const kind = bytes[at] as number;
    if (kind > 3) throw damaged(`The header of the ${what} has an entry of unknown type ${kind}.`);
    const compressed = kind >= 2;
    if (at + entrySize(compressed) > bytes.length) throw damaged(`The header of the ${what} ends within an entry.`);
    const length = bytes.readUInt32LE(at + 1);
    const uncompressedLength = compressed ? bytes.readUInt32LE(at + 5) : 0;
    at += entrySize(compressed);
    if (length < envelopeOverhead || (compressed && uncompressedLength === 0)) {
      throw damaged(`The header of the ${what} has an entry with an impossible length.`);
    }
    blobs.push({
      type: kind % 2 === 1 ? "tree" : "data",
      id: bytes.subarray(at - idSize, at),
      offset,
      length,
      uncompressedLength,
    });
    offset += length;
  }
  if (offset !== blobBytes || offset > maxUint32) {
    throw damaged(`The header of the ${what} lists ${offset} bytes of blobs where ${blobBytes} are.`);
  }
  return blobs;
}

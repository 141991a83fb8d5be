import { isHoldfastError } from "../../base/index.ts";
import type { Backend } from "../../storage/index.ts";
import { envelopeOverhead } from "../crypto/envelope.ts";
import { damaged } from "../damage.ts";
import type { BlobLocation } from "../index/blob-index.ts";
import { type LoadedIndex, locateForReading } from "../index/load-index.ts";
import type { BlobType } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";
import type { LoadedBlob } from "./open-loaded-blob.ts";

/** A blob and where it lies in its pack. */
export interface LocatedBlob extends LoadedBlob {
  /** Bytes of the plaintext. */
  readonly sizeBytes: number;
}

/** Where the blob lies. @throws HoldfastError REPOSITORY_DAMAGED if no index names it */
export function locateBlob(index: LoadedIndex, type: BlobType, id: Uint8Array): LocatedBlob {
  const location = locateForReading(index, type, id);
  const pack = location === undefined ? undefined : index.packs[location.pack];
  const hexId = Buffer.from(id.buffer, id.byteOffset, id.length).toString("hex");
  if (location === undefined || pack === undefined) {
    throw damaged(`The ${type} blob ${hexId} is in no index.`, { blob: hexId });
  }
  const { offset, length, uncompressedLength } = location;
  const sizeBytes = uncompressedLength > 0 ? uncompressedLength : length - envelopeOverhead;
  return { type, id: hexId, offset, length, uncompressedLength, pack, sizeBytes };
}

/** As `locateBlob`, with nothing made that a file of one blob does not need. */
export function findBlob(index: LoadedIndex, id: Uint8Array): BlobLocation {
  const location = locateForReading(index, "data", id);
  if (location !== undefined) return location;
  const hexId = Buffer.from(id).toString("hex");
  throw damaged(`The data blob ${hexId} is in no index.`, { blob: hexId });
}

/** Bytes of the plaintext. */
export const plainBytes = ({ length, uncompressedLength }: BlobLocation): number =>
  uncompressedLength > 0 ? uncompressedLength : length - envelopeOverhead;

/** The id of a pack by its number in the index. */
export function packOf(index: LoadedIndex, number: number): HexId {
  const pack = index.packs[number];
  if (pack === undefined) throw new RangeError(`The index has no pack ${number}.`);
  return pack;
}

/** Bytes of a pack. @throws HoldfastError REPOSITORY_DAMAGED for a pack that is missing or too short, STORAGE_* */
export async function loadRange(backend: Backend, pack: HexId, offset: number, length: number): Promise<Buffer> {
  try {
    return await backend.load({ type: "data", name: pack }, { offset, length });
  } catch (error) {
    if (isHoldfastError(error, "STORAGE_NOT_FOUND")) throw damaged(`The pack ${pack} is missing.`, { pack }, error);
    if (isHoldfastError(error, "STORAGE_RANGE")) throw damaged(`The pack ${pack} is too short.`, { pack }, error);
    throw error;
  }
}

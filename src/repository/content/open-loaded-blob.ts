import type { Sealer } from "../crypto/envelope.ts";
import { damaged } from "../damage.ts";
import { type ExpectedBlob, openBlob } from "../pack/blob-loader.ts";

/** A blob whose pack was loaded, in whole or in part. */
export interface LoadedBlob extends ExpectedBlob {
  /** Of its envelope, within the loaded bytes. */
  readonly offset: number;
  readonly length: number;
}

/** The verified plaintext of a blob within `bytes` of its pack. @throws HoldfastError REPOSITORY_DAMAGED naming blob and pack */
export function openLoadedBlob(sealer: Sealer, bytes: Uint8Array, blob: LoadedBlob): Buffer {
  const { type, id, offset, length, pack } = blob;
  if (offset + length > bytes.length) {
    throw damaged(`The ${type} blob ${id} lies beyond the end of the pack ${pack}.`, { blob: id, pack });
  }
  return openBlob(sealer, bytes.subarray(offset, offset + length), blob);
}

import { hash } from "node:crypto";
import type { Sealer } from "../crypto/envelope.ts";
import { isDamage } from "../damage.ts";
import { openBlob } from "../pack/blob-loader.ts";
import { packFingerprint } from "../pack/pack-fingerprint.ts";
import { decodePackHeader, decodePackTrailer, type PackBlob, packTrailerSize } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";

export interface PackFault {
  readonly kind: "pack-damaged" | "blob-damaged" | "index-differs";
  readonly message: string;
  /** For "blob-damaged". */
  readonly blob?: { readonly type: "data" | "tree"; readonly id: HexId };
}

/**
 * Verifies a whole pack: its name, its header, that the index agrees, and the tag, frame and hash of every blob. If the
 * pack does not match its name, its blobs say which of them are hit.
 */
export function checkPack(sealer: Sealer, id: HexId, bytes: Buffer, fingerprint: string): PackFault[] {
  const faults: PackFault[] = [];
  if (hash("sha256", bytes, "hex") !== id) {
    faults.push({
      kind: "pack-damaged",
      message: `The pack ${id} does not match its name: it was changed or cut off.`,
    });
  }
  let blobs: readonly PackBlob[];
  try {
    blobs = readHeader(sealer, id, bytes);
  } catch (error) {
    if (!isDamage(error)) throw error;
    return [...faults, { kind: "pack-damaged", message: error.message }];
  }
  if (packFingerprint(blobs) !== fingerprint) {
    faults.push({
      kind: "index-differs",
      message: `The index lists other blobs for the pack ${id} than the pack does.`,
    });
  }
  for (const { type, id: blobId, offset, length, uncompressedLength } of blobs) {
    const blob = Buffer.from(blobId).toString("hex");
    try {
      openBlob(sealer, bytes.subarray(offset, offset + length), { type, id: blob, uncompressedLength, pack: id });
    } catch (error) {
      if (!isDamage(error)) throw error;
      faults.push({ kind: "blob-damaged", message: error.message, blob: { type, id: blob } });
    }
  }
  return faults;
}

function readHeader(sealer: Sealer, id: HexId, bytes: Buffer): PackBlob[] {
  const what = `pack ${id}`;
  const trailer = bytes.subarray(Math.max(0, bytes.length - packTrailerSize));
  const headerLength = decodePackTrailer(trailer, bytes.length, what);
  const headerAt = bytes.length - packTrailerSize - headerLength;
  const header = sealer.open(bytes.subarray(headerAt, bytes.length - packTrailerSize), `header of the ${what}`);
  return decodePackHeader(header, headerAt, what);
}

import { createHash } from "node:crypto";
import type { PackBlob } from "./pack-format.ts";

/** Hash over the pack's blobs in the order of their offsets. */
export function packFingerprint(blobs: readonly PackBlob[]): string {
  const hash = createHash("sha256");
  for (const { type, id, offset, length, uncompressedLength } of blobs) {
    hash.update(`${type} ${offset} ${length} ${uncompressedLength} `).update(id);
  }
  return hash.digest("base64");
}

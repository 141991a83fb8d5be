import { BlobIndex } from "../index/blob-index.ts";
import type { IndexedPack } from "../index/index-file.ts";
import type { LoadedIndex } from "../index/load-index.ts";
import type { PackBlob } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { blobsOf } from "./examine-pack.ts";
import type { IndexPlan, IndexSurvey } from "./plan-index.ts";
import { eachPackOf } from "./survey-index.ts";

/** Everything that can be read, and where it lies now; the same blobs as after the plan has been carried out. */
export interface ReadableIndex extends LoadedIndex {
  /** Of each damaged pack, the blobs that no sound pack has. */
  readonly salvage: ReadonlyMap<HexId, readonly PackBlob[]>;
}

/** @throws HoldfastError STORAGE_*, INTERRUPTED */
export async function readableIndex(
  files: UnpackedFiles,
  survey: IndexSurvey,
  plan: IndexPlan,
  signal: AbortSignal,
): Promise<ReadableIndex> {
  const index = { blobs: new BlobIndex(), packs: [] as HexId[], salvage: new Map<HexId, readonly PackBlob[]>() };
  const place = ({ id, blobs }: IndexedPack): void => {
    const pack = index.packs.push(id) - 1;
    for (const { type, id: blob, offset, length, uncompressedLength } of blobs) {
      index.blobs.place(type, blob, { pack, offset, length, uncompressedLength });
    }
  };
  const replaced = new Set(plan.replace);
  const kept = survey.indexes.filter(({ packs }) => packs !== undefined).map(({ id }) => id);
  await eachPackOf(files, kept, signal, (pack, file) => {
    if (!replaced.has(file) || plan.keep.has(pack.id)) place(pack);
  });
  for (const pack of plan.add) place({ id: pack.id, blobs: blobsOf(pack) });
  for (const { id, readable } of plan.salvage) {
    const missed = readable.filter((blob) => !index.blobs.has(blob.type, blob.id));
    if (missed.length > 0) index.salvage.set(id, missed);
    place({ id, blobs: missed });
  }
  index.blobs.fit();
  return index;
}

import { envelopeOverhead, type Sealer } from "../crypto/envelope.ts";
import { BlobIndex } from "../index/blob-index.ts";
import { eachIndexedPack } from "../index/load-index.ts";
import { BlobLoader } from "../pack/blob-loader.ts";
import type { HexId, RepositoryStats, StatsOptions } from "../repository.ts";
import { loadSnapshots } from "../snapshot/snapshot-list.ts";
import { TreeReader } from "../tree/tree-reader.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { measureSnapshots } from "./snapshot-sizes.ts";

/** See Repository.stats. The caller holds a lock for checking: no pack that the index names goes meanwhile. */
export async function computeStats(
  files: UnpackedFiles,
  sealer: Sealer,
  options: StatsOptions,
): Promise<RepositoryStats> {
  const snapshots = await loadSnapshots(files, options.signal);
  // One index for all, whether a prune has marked their packs or not.
  const index = { blobs: new BlobIndex(), packs: [] as HexId[] };
  let bytesUncompressed = 0;
  let blobs = 0;
  await eachIndexedPack(
    files,
    (indexed) => {
      const pack = index.packs.push(indexed.id) - 1;
      for (const { type, id, offset, length, uncompressedLength } of indexed.blobs) {
        index.blobs.place(type, id, { pack, offset, length, uncompressedLength });
        bytesUncompressed += uncompressedLength > 0 ? uncompressedLength : length - envelopeOverhead;
        blobs += 1;
      }
    },
    options.signal,
  );
  index.blobs.fit();
  let packs = 0;
  let bytesStored = 0;
  for await (const { sizeBytes } of files.backend.list("data")) {
    packs += 1;
    bytesStored += sizeBytes;
  }
  const trees = new TreeReader(new BlobLoader(files.backend, sealer, index));
  const { sizes, used } = await measureSnapshots(snapshots, index.blobs, trees, options);
  return {
    snapshots: snapshots.length,
    packs,
    blobs,
    bytesStored,
    bytesUncompressed,
    bytesInSnapshots: sizes.reduce((sum, { bytes }) => sum + bytes, 0),
    bytesUsed: used.stored,
    bytesUsedUncompressed: used.uncompressed,
    bytesUsedData: used.data,
    sizes,
  };
}

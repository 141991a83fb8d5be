import { BlobLoader } from "./pack/blob-loader.ts";
import { envelopeOverhead, type Sealer } from "./crypto/envelope.ts";
import { eachIndexedPack, loadIndex } from "./index/load-index.ts";
import type { RepositoryStats } from "./repository.ts";
import { loadSnapshots } from "./snapshot/snapshot-list.ts";
import { TreeReader } from "./tree/tree-reader.ts";
import { TreeTotals } from "./tree/tree-totals.ts";
import type { UnpackedFiles } from "./unpacked-files.ts";

/** Reads indexes and trees, no file contents. The caller holds a lock. @throws HoldfastError REPOSITORY_DAMAGED, STORAGE_* */
export async function computeStats(files: UnpackedFiles, sealer: Sealer): Promise<RepositoryStats> {
  const snapshots = await loadSnapshots(files);
  const index = await loadIndex(files);
  let bytesUncompressed = 0;
  let blobs = 0;
  await eachIndexedPack(files, (pack) => {
    for (const { length, uncompressedLength } of pack.blobs) {
      bytesUncompressed += uncompressedLength > 0 ? uncompressedLength : length - envelopeOverhead;
      blobs += 1;
    }
  });
  let packs = 0;
  let bytesStored = 0;
  for await (const { sizeBytes } of files.backend.list("data")) {
    packs += 1;
    bytesStored += sizeBytes;
  }
  const totals = new TreeTotals(new TreeReader(new BlobLoader(files.backend, sealer, index)));
  let bytesInSnapshots = 0;
  for (const { tree } of snapshots) bytesInSnapshots += await totals.bytes(tree);
  return { snapshots: snapshots.length, packs, blobs, bytesStored, bytesUncompressed, bytesInSnapshots };
}

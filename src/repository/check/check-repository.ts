import { isHoldfastError, throwIfAborted } from "../../base/index.ts";
import type { Sealer } from "../crypto/envelope.ts";
import { isDamage } from "../damage.ts";
import { hexIdOf } from "../hex-id.ts";
import { inParallel } from "../in-parallel.ts";
import { BlobLoader } from "../pack/blob-loader.ts";
import type { CheckOptions, CheckReport, Snapshot } from "../repository.ts";
import { decodeSnapshot } from "../snapshot/snapshot-format.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { affectedSnapshots } from "./affected-snapshots.ts";
import { checkData, coverageOf, type PackVerifier } from "./check-data.ts";
import { checkIndex } from "./check-index.ts";
import { checkPacks } from "./check-packs.ts";
import { checkTrees } from "./check-trees.ts";
import { Findings } from "./findings.ts";
import type { ReadHistory } from "./read-history.ts";

/**
 * Finds what is missing or damaged and goes on; only the storage's own errors end it. The caller holds a lock, which
 * may be shared: backups may go on meanwhile. @throws HoldfastError STORAGE_*, INTERRUPTED; RangeError for a ratio beyond 0..1
 */
export async function checkRepository(
  files: UnpackedFiles,
  sealer: Sealer,
  verifier: PackVerifier,
  history: ReadHistory,
  options: CheckOptions = {},
): Promise<CheckReport> {
  const { readDataRatio = 0, signal, onProgress } = options;
  if (!(readDataRatio >= 0 && readDataRatio <= 1)) throw new RangeError("readDataRatio must be between 0 and 1.");
  const { backend } = files;
  const findings = new Findings();
  await checkKeys(files, findings);
  // In this order a backup that ends meanwhile looks whole: snapshots, packs, index, then packs again.
  const snapshots = await checkSnapshots(files, findings, signal);
  const early = new Set<string>();
  for await (const { name } of backend.list("data")) early.add(name);
  if (await hasOtherLocks(files)) early.clear();
  const index = await checkIndex(files, findings, signal);
  const packs = await checkPacks(backend, index, early, findings, signal);
  const loader = new BlobLoader(backend, sealer, index);
  await checkTrees(snapshots, index, loader, findings, signal);
  const bytesRead =
    readDataRatio === 0
      ? 0
      : await checkData(backend, verifier, index, findings, { ratio: readDataRatio, history, signal, onProgress });
  const affected = await affectedSnapshots(snapshots, index, loader, findings, signal);
  return {
    findings: findings.list(affected),
    snapshots: snapshots.length,
    packs,
    blobs: index.blobCount,
    bytesRead,
    coverage: coverageOf(index, await history.load()),
  };
}

/** With a writer at work, a pack without an index is no finding. */
async function hasOtherLocks(files: UnpackedFiles): Promise<boolean> {
  return (await files.ids("lock")).length > 1;
}

async function checkKeys(files: UnpackedFiles, findings: Findings): Promise<void> {
  for await (const { name } of files.backend.list("key")) {
    if (hexIdOf(await files.backend.load({ type: "key", name })) === name) continue;
    findings.error("key-damaged", `The key ${name} does not match its name: it was changed or cut off.`);
  }
}

async function checkSnapshots(files: UnpackedFiles, findings: Findings, signal?: AbortSignal): Promise<Snapshot[]> {
  const snapshots = await inParallel(await files.ids("snapshot"), 16, async (id) => {
    throwIfAborted(signal);
    try {
      return decodeSnapshot(await files.load("snapshot", id), id);
    } catch (error) {
      // Forgotten since they were listed.
      if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return undefined;
      if (!isDamage(error)) throw error;
      findings.error("snapshot-undecodable", error.message, { snapshots: [id] });
      return undefined;
    }
  });
  return snapshots.filter((snapshot) => snapshot !== undefined);
}

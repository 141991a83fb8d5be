import { isHoldfastError, throwIfAborted } from "../../base/index.ts";
import { inParallel } from "../in-parallel.ts";
import type { HexId, Snapshot } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { decodeSnapshot } from "./snapshot-format.ts";

const loadedAtOnce = 16;

/** Every snapshot, oldest first; one that is forgotten meanwhile is left out. @throws HoldfastError STORAGE_*, REPOSITORY_DAMAGED naming the snapshot, INTERRUPTED */
export async function loadSnapshots(files: UnpackedFiles, signal?: AbortSignal): Promise<Snapshot[]> {
  return loadSnapshotsOf(files, await files.ids("snapshot"), signal);
}

/** As `loadSnapshots`, those of `ids`. */
export async function loadSnapshotsOf(
  files: UnpackedFiles,
  ids: readonly HexId[],
  signal?: AbortSignal,
): Promise<Snapshot[]> {
  const snapshots = await inParallel(ids, loadedAtOnce, async (id) => {
    throwIfAborted(signal);
    try {
      return decodeSnapshot(await files.load("snapshot", id), id);
    } catch (error) {
      if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return undefined;
      throw error;
    }
  });
  return snapshots.filter((snapshot) => snapshot !== undefined).sort(byTime);
}

function byTime(a: Snapshot, b: Snapshot): number {
  return a.time.getTime() - b.time.getTime() || (a.id < b.id ? -1 : 1);
}

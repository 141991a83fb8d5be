import { throwIfAborted } from "../../base/index.ts";
import { inParallel } from "../in-parallel.ts";
import type { Snapshot } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { decodeSnapshot } from "./snapshot-format.ts";

const loadedAtOnce = 16;

/** Every snapshot, oldest first. @throws HoldfastError STORAGE_*, REPOSITORY_DAMAGED naming the snapshot, INTERRUPTED */
export async function loadSnapshots(files: UnpackedFiles, signal?: AbortSignal): Promise<Snapshot[]> {
  const snapshots = await inParallel(await files.ids("snapshot"), loadedAtOnce, async (id) => {
    throwIfAborted(signal);
    return decodeSnapshot(await files.load("snapshot", id), id);
  });
  return snapshots.sort(byTime);
}

function byTime(a: Snapshot, b: Snapshot): number {
  return a.time.getTime() - b.time.getTime() || (a.id < b.id ? -1 : 1);
}

import { hostname } from "node:os";
import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import { inParallel } from "../in-parallel.ts";
import type { HexId, LockInfo } from "../repository.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { decodeLock, type LockHolder, type Lease, resticStaleAfterMs } from "./lock-file.ts";
import { isRunning, machineId, mayBeRunning } from "./process-alive.ts";

export interface ListedLock extends LockInfo {
  /** Of this machine, and its process is gone: nobody can miss it. */
  readonly abandoned: boolean;
  /** Absent for restic's. */
  readonly lease?: Lease;
}

/** How far the clocks of two machines may differ before a lease is taken for over, judged by its time alone. */
export const clockAllowanceMs = 5 * 60_000;

/**
 * Every lock on the repository. A lock that vanishes meanwhile, or is still empty, is left out.
 * @throws HoldfastError STORAGE_*, REPOSITORY_LOCKED for a lock that cannot be read: its holder may be at work
 */
export async function listLocks(files: UnpackedFiles): Promise<ListedLock[]> {
  const locks = await inParallel(files.backend.list("lock"), 8, ({ name }) => readLock(files, name));
  return locks.filter((lock) => lock !== undefined).sort((a, b) => a.time.getTime() - b.time.getTime());
}

async function readLock(files: UnpackedFiles, id: HexId): Promise<ListedLock | undefined> {
  let stored: Buffer;
  try {
    stored = await files.backend.load({ type: "lock", name: id });
  } catch (error) {
    if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return undefined;
    throw error;
  }
  if (stored.length === 0) return undefined;
  try {
    const holder = decodeLock(files.decode("lock", id, stored), id);
    const abandoned = await isAbandoned(holder);
    const staleAfterMs = holder.lease === undefined ? resticStaleAfterMs : holder.lease.leaseMs + clockAllowanceMs;
    const stale = abandoned || Date.now() - holder.time.getTime() > staleAfterMs;
    return { id, ...holder, stale, abandoned };
  } catch (error) {
    if (!isHoldfastError(error, "REPOSITORY_DAMAGED")) throw error;
    throw new HoldfastError("REPOSITORY_LOCKED", `The lock ${id} cannot be read: ${error.message}`, {
      facts: { lock: id },
      remedy: "Make sure that nothing works on the repository, then run `holdfast repo:unlock --all`.",
      cause: error,
    });
  }
}

async function isAbandoned({ hostname: host, pid, time, lease }: LockHolder): Promise<boolean> {
  if (lease !== undefined && lease.machine !== "") {
    return lease.machine === (await machineId()) && !(await isRunning(pid, lease.startTicks));
  }
  return host === hostname() && !(await mayBeRunning(pid, time));
}

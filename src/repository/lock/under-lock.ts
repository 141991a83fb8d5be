import { throwIfAborted } from "../../base/index.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { acquireLock, type LockOptions, type RepositoryLock } from "./repository-lock.ts";

/**
 * Takes a lock, works, lets go of it. If the work fails, its error is the one thrown, whatever becomes of the lock.
 * @throws HoldfastError REPOSITORY_LOCKED, STORAGE_*, INTERRUPTED; what the work throws
 */
export async function underLock<T>(
  files: UnpackedFiles,
  options: LockOptions,
  work: (lock: RepositoryLock) => Promise<T>,
): Promise<T> {
  const lock = await acquireLock(files, options);
  const result = await keepLock(lock, () => {
    throwIfAborted(lock.signal);
    return work(lock);
  });
  await lock.release();
  return result;
}

/** Lets go of the lock if `make` fails, with its error. */
export async function keepLock<T>(lock: RepositoryLock, make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    // A storage that failed once fails again here, as a rule. What is left of the lock ends with its lease.
    await Promise.allSettled([lock.release()]);
    throw error;
  }
}

import { DatabaseSync } from "node:sqlite";

/** Held by one process at the most; let go by the kernel when that process dies. */
export interface ProcessLock {
  /** Idempotent. */
  release(): void;
}

/**
 * Takes the lock that a file stands for, at once or not: undefined if another process has it. An SQLite file under an
 * exclusive transaction is the lock, because its fcntl lock needs no native code and ends with the process, however it ends.
 * @throws what the system or SQLite says if the file cannot be made or is no lock
 */
export function tryLockFile(file: string): ProcessLock | undefined {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (isSqliteBusy(error)) return undefined;
    throw error;
  }
  return {
    release: (): void => {
      if (database.isOpen) database.close();
    },
  };
}

function isSqliteBusy(error: unknown): boolean {
  const SQLITE_BUSY = 5;
  return error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY;
}

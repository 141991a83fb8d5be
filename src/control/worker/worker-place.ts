import { randomUUID } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError, messageOf, systemErrorCode } from "../../base/index.ts";
import { type ProcessLock, tryLockFile } from "../../engine/index.ts";
import { writeOnce } from "./write-once.ts";

/**
 * The id of a state folder, made if it has none: what an activity began is in the journals of one state folder, and only
 * workers that use that one can undo or finish it. @throws HoldfastError STATE_UNUSABLE
 */
export async function workerPlace(stateDirectory: string): Promise<string> {
  const file = join(stateDirectory, "place");
  try {
    await writeOnce(file, `${randomUUID()}\n`);
    return (await readFile(file, "utf8")).trim();
  } catch (error) {
    throw unusable(stateDirectory, error);
  }
}

/**
 * Makes this process the only one that works on the activities of a state folder, so that whatever else is in progress
 * there is a dead process's. @throws HoldfastError WORKER_RUNNING, STATE_UNUSABLE
 */
export async function lockWorker(stateDirectory: string): Promise<ProcessLock> {
  const folder = join(stateDirectory, "locks");
  let lock: ProcessLock | undefined;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    lock = tryLockFile(join(folder, "worker.lock"));
  } catch (error) {
    throw unusable(stateDirectory, error);
  }
  if (lock !== undefined) return lock;
  throw new HoldfastError("WORKER_RUNNING", `Another process works on the activities of ${stateDirectory}.`, {
    facts: { state: stateDirectory },
    remedy: "One is enough with a catalog in a file; for several, put the catalog into PostgreSQL (server.catalog).",
  });
}

function unusable(stateDirectory: string, error: unknown): HoldfastError {
  return new HoldfastError("STATE_UNUSABLE", `The state folder ${stateDirectory} cannot be used: ${messageOf(error)}`, {
    facts: { state: stateDirectory, reason: systemErrorCode(error) ?? "" },
    remedy: "Correct the folder's rights, or make room on its disk.",
    cause: error,
  });
}

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HoldfastError, messageOf, type OperationId, systemErrorCode } from "../base/index.ts";
import type { Environment } from "./environment.ts";
import { type ProcessLock, tryLockFile } from "./process-lock.ts";

/**
 * Takes the environment's lock or fails at once.
 * @throws HoldfastError ENVIRONMENT_BUSY, naming the operation and process that hold it; STATE_UNUSABLE
 */
export function lockEnvironment(
  stateDirectory: string,
  environment: Pick<Environment, "project" | "id">,
  operation: { readonly id: OperationId; readonly kind: string },
): ProcessLock {
  const folder = join(stateDirectory, "locks");
  const name = encodeURIComponent(`${environment.project}/${environment.id}`);
  const holderFile = join(folder, `${name}.json`);
  let lock: ProcessLock | undefined;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    lock = tryLockFile(join(folder, `${name}.lock`));
  } catch (error) {
    throw new HoldfastError("STATE_UNUSABLE", `The lock of ${environment.id} in ${folder} is unusable.`, {
      cause: error,
    });
  }
  if (lock === undefined) throw busyError(environment, holderFile);
  try {
    writeFileSync(holderFile, JSON.stringify({ ...operation, pid: process.pid, since: new Date().toISOString() }), {
      mode: 0o600,
    });
  } catch (error) {
    lock.release();
    throw new HoldfastError("STATE_UNUSABLE", `The state folder ${folder} cannot be written: ${messageOf(error)}`, {
      facts: { folder, reason: systemErrorCode(error) ?? "" },
      remedy: "Make room in the state folder, or correct its rights, and run the command again.",
      cause: error,
    });
  }
  return lock;
}

function busyError(environment: Pick<Environment, "id">, holderFile: string): HoldfastError {
  const holder = readHolder(holderFile);
  const who =
    holder === undefined ? "" : ` (${holder.kind} ${holder.id}, process ${holder.pid}, since ${holder.since})`;
  return new HoldfastError("ENVIRONMENT_BUSY", `Another operation is running on ${environment.id}${who}.`, {
    facts: { environment: environment.id, ...holder },
    remedy: "Wait until it has finished, or stop that process; then try again.",
  });
}

/** Written just after the lock was taken, so it may be of the last holder or half there: then it is left out. */
function readHolder(file: string): { id: string; kind: string; pid: number; since: string } | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as { id: string; kind: string; pid: number; since: string };
  } catch (error) {
    if (error instanceof SyntaxError || systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HoldfastError, messageOf, type OperationId, systemErrorCode } from "../base/index.ts";
import type { Environment } from "./environment.ts";

/** Held by the one process that works on an environment; let go by the kernel when that process dies. */
export interface EnvironmentLock {
  release(): void;
}

/**
 * Takes the environment's lock or fails at once. An SQLite file under an exclusive transaction is the lock, because its
 * fcntl lock needs no native code and ends with the process, however it ends.
 * @throws HoldfastError ENVIRONMENT_BUSY, naming the operation and process that hold it; STATE_UNUSABLE
 */
export function lockEnvironment(
  stateDirectory: string,
  environment: Pick<Environment, "project" | "id">,
  operation: { readonly id: OperationId; readonly kind: string },
): EnvironmentLock {
  const folder = join(stateDirectory, "locks");
  const name = encodeURIComponent(`${environment.project}/${environment.id}`);
  const holderFile = join(folder, `${name}.json`);
  let database: DatabaseSync;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    database = new DatabaseSync(join(folder, `${name}.lock`), { timeout: 0 });
  } catch (error) {
    throw new HoldfastError("STATE_UNUSABLE", `The state folder ${folder} cannot be written.`, { cause: error });
  }
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (!isSqliteBusy(error)) {
      throw new HoldfastError("STATE_UNUSABLE", `The lock of ${environment.id} in ${folder} is unusable.`, {
        cause: error,
      });
    }
    throw busyError(environment, holderFile, error);
  }
  try {
    writeFileSync(holderFile, JSON.stringify({ ...operation, pid: process.pid, since: new Date().toISOString() }), {
      mode: 0o600,
    });
  } catch (error) {
    database.close();
    throw new HoldfastError("STATE_UNUSABLE", `The state folder ${folder} cannot be written: ${messageOf(error)}`, {
      facts: { folder, reason: systemErrorCode(error) ?? "" },
      remedy: "Make room in the state folder, or correct its rights, and run the command again.",
      cause: error,
    });
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

function busyError(environment: Pick<Environment, "id">, holderFile: string, cause: unknown): HoldfastError {
  const holder = readHolder(holderFile);
  const who =
    holder === undefined ? "" : ` (${holder.kind} ${holder.id}, process ${holder.pid}, since ${holder.since})`;
  return new HoldfastError("ENVIRONMENT_BUSY", `Another operation is running on ${environment.id}${who}.`, {
    facts: { environment: environment.id, ...holder },
    remedy: "Wait until it has finished, or stop that process; then try again.",
    cause,
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

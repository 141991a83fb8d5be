import { link, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { HoldfastError, systemErrorCode } from "../../base/index.ts";
import {
  beginReading,
  copyDatabase,
  isNoDatabase,
  openDatabase,
  openFrozen,
  pragma,
  sqliteErrorCode,
  untilFree,
} from "./sqlite-database.ts";
import { sidecars, type SqlitePlan, syncPath } from "./sqlite-restore-plan.ts";

export type LiveState = "missing" | "unreadable" | "old" | "restored";

/** What the live file is now; the mark in it says whether it is the restored one. */
export async function liveState(plan: SqlitePlan, timeoutMs: number): Promise<LiveState> {
  if ((await sizeOf(plan.path)) === undefined) return "missing";
  const database = openDatabase(plan.path);
  try {
    const id = await untilFree(timeoutMs, () => Number(pragma(database, "application_id")));
    return id === plan.mark ? "restored" : "old";
  } catch (error) {
    if (isNoDatabase(error)) return "unreadable";
    throw error;
  } finally {
    database.close();
  }
}

/** Bytes of a file, or undefined if there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Saves the live database to `old` and puts the content of `staged` over it, in one transaction of SQLite's: processes
 * that have it open see all or nothing and go on with the new data. `onSaved` is awaited in between.
 */
export async function exchangeContent(
  plan: SqlitePlan,
  paths: { readonly staged: string; readonly old: string },
  left: () => number,
  onSaved: () => Promise<void>,
): Promise<void> {
  const live = openDatabase(plan.path);
  const stop = (): Error | undefined => (left() <= 0 ? tooLate(plan.path) : undefined);
  try {
    // A writer without HTTP may commit between saving and replacing: then what was saved is not the old state any more.
    for (;;) {
      await untilFree(left(), () => beginReading(live));
      try {
        await removeDatabase(paths.old);
        await copyDatabase(live, paths.old, stop);
      } finally {
        live.exec("COMMIT");
      }
      const saved = pragma(live, "data_version");
      await onSaved();
      if (pragma(live, "data_version") === saved) break;
    }
    await putContent(paths.staged, plan.path, left);
  } finally {
    live.close();
  }
}

/** Copies the file `from`, which nobody writes, over the content of the database `to`, waiting for its lock. */
export async function putContent(from: string, to: string, left: () => number): Promise<void> {
  const source = openFrozen(from);
  try {
    for (;;) {
      // Asked first, because the copy itself does not say that it met a lock.
      const probe = openDatabase(to);
      try {
        await untilFree(left(), () => probe.exec("BEGIN IMMEDIATE"));
        probe.exec("ROLLBACK");
      } finally {
        probe.close();
      }
      try {
        await copyDatabase(source, to, () => (left() <= 0 ? tooLate(to) : undefined));
        return;
      } catch (error) {
        if (![0, 5, 6].includes(sqliteErrorCode(error) ?? -1) || left() <= 0) throw error;
      }
    }
  } finally {
    source.close();
  }
}

/**
 * Puts the file `staged` in the live one's place; the old file, if there is one, stays as `old`. Instant, whatever the
 * size; but a process that has the old file open stays with it.
 */
export async function exchangeFiles(
  plan: SqlitePlan,
  paths: { readonly staged: string; readonly old: string },
  state: LiveState,
  left: () => number,
): Promise<void> {
  await removeDatabase(paths.old);
  if (state === "old") await emptyLog(plan.path, left);
  if (state !== "missing") await link(plan.path, paths.old);
  // Whatever journal is left belongs to the old file; SQLite would apply it to the new one.
  await moveSidecars(plan.path, paths.old);
  await rename(paths.staged, plan.path);
  await syncPath(dirname(plan.path));
}

/** Undoes `exchangeFiles`. */
export async function exchangeFilesBack(plan: SqlitePlan, old: string, left: () => number): Promise<void> {
  await emptyLog(plan.path, left);
  for (const suffix of sidecars) await rm(plan.path + suffix, { force: true });
  if (plan.existed) await rename(old, plan.path);
  else await rm(plan.path, { force: true });
  await moveSidecars(old, plan.path);
  await syncPath(dirname(plan.path));
}

/** Brings what is in the write-ahead log into the file, and fails if somebody keeps that from happening. */
async function emptyLog(path: string, left: () => number): Promise<void> {
  const database = openDatabase(path);
  try {
    await untilFree(left(), () => {
      if (pragma(database, "journal_mode") === "wal") checkpoint(database);
      database.exec("BEGIN IMMEDIATE");
      database.exec("ROLLBACK");
    });
  } finally {
    database.close();
  }
}

function checkpoint(database: DatabaseSync): void {
  const row = database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
  if (row?.["busy"] === 1)
    throw Object.assign(new Error("database is locked"), { code: "ERR_SQLITE_ERROR", errcode: 5 });
}

async function moveSidecars(from: string, to: string): Promise<void> {
  for (const suffix of sidecars) {
    if ((await sizeOf(from + suffix)) !== undefined) await rename(from + suffix, to + suffix);
  }
}

/** Removes a database file and what SQLite keeps beside it. */
export async function removeDatabase(path: string): Promise<void> {
  for (const suffix of [...sidecars, ""]) await rm(path + suffix, { force: true });
}

function tooLate(path: string): HoldfastError {
  return new HoldfastError("TIMEOUT", `The SQLite database ${path} could not be replaced within the time given.`, {
    facts: { path },
    remedy: "Find the process that keeps a transaction open (fuser, lsof), or raise gateway.holdTimeout.",
  });
}

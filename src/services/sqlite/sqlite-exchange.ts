import { readSync } from "node:fs";
import { link, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { HoldfastError, systemErrorCode } from "../../base/index.ts";
import {
  beginReading,
  copyDatabase,
  isBusy,
  isNoDatabase,
  openDatabase,
  openFrozen,
  pragma,
  sqliteErrorCode,
  untilFree,
} from "./sqlite-database.ts";
import { findOpeners } from "./sqlite-openers.ts";
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
 *
 * What is saved is the last state before the exchange: if a writer commits after it was saved and before the exchange has
 * the lock, the exchange is given up and begun again. (A database of a single page, which has no table, is not watched.)
 */
export async function exchangeContent(
  plan: SqlitePlan,
  paths: { readonly staged: string; readonly old: string },
  left: () => number,
  onSaved: () => Promise<void>,
): Promise<void> {
  const live = openDatabase(plan.path);
  const stop = (): Error | undefined => (left() <= 0 ? tooLate(plan.path) : undefined);
  // Kept open to the end: closing it would let go of SQLite's locks on the file, which are this process's.
  const file = await open(plan.path, "r");
  try {
    for (;;) {
      await untilFree(left(), () => beginReading(live));
      let saved: string;
      try {
        await removeDatabase(paths.old);
        await copyDatabase(live, paths.old, stop);
        saved = commitMark(live, file.fd);
      } finally {
        live.exec("COMMIT");
      }
      await onSaved();
      if (await putContent(paths.staged, plan.path, left, () => commitMark(live, file.fd) === saved)) return;
    }
  } finally {
    live.close();
    await file.close();
  }
}

/** Changes with every commit. Can be asked while another connection of this process replaces the content. */
function commitMark(live: DatabaseSync, fd: number): string {
  // Offset 24: the file change counter, which every commit without a write-ahead log raises. The replacing connection writes
  // page 1 at its own commit only. https://www.sqlite.org/fileformat2.html, section 1.3.7
  const counter = Buffer.alloc(4);
  readSync(fd, counter, 0, 4, 24);
  let version: string | number = "";
  try {
    version = pragma(live, "data_version");
  } catch (error) {
    // Without a write-ahead log the replacing connection keeps readers out; the counter tells all there.
    if (!isBusy(error)) throw error;
    return `${counter.toString("hex")} rollback journal`;
  }
  const wal = pragma(live, "journal_mode") === "wal";
  return wal ? `${version} wal` : `${counter.toString("hex")} rollback journal`;
}

/**
 * Copies the file `from`, which nobody writes, over the content of the database `to`, waiting for its lock. `unchanged` is asked
 * once, when nobody else can write any more; if it is false, nothing is changed, and the result is false.
 */
export async function putContent(
  from: string,
  to: string,
  left: () => number,
  unchanged: () => boolean = () => true,
): Promise<boolean> {
  const source = openFrozen(from);
  let asked = false;
  let changed = false;
  const stop = (): Error | undefined => {
    if (left() <= 0) return tooLate(to);
    if (asked) return undefined;
    asked = true;
    changed = !unchanged();
    return changed ? new Error("The database was changed.") : undefined;
  };
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
        asked = false;
        await copyDatabase(source, to, stop);
        return true;
      } catch (error) {
        if (changed) return false;
        if (![0, 5, 6].includes(sqliteErrorCode(error) ?? -1) || left() <= 0) throw error;
      }
    }
  } finally {
    source.close();
  }
}

/**
 * Puts the file `staged` in the live one's place; the old file, if there is one, stays as `old`. Instant, whatever the
 * size; but a process that has the old file open stays with it. A readable old database is locked for everybody else from
 * before the exchange until nobody is seen to have it open; a write-ahead log is folded into it, which SQLite does only for
 * the one connection that there is.
 * @returns false, with all as before, if somebody has opened the old file meanwhile
 */
export async function exchangeFiles(
  plan: SqlitePlan,
  paths: { readonly staged: string; readonly old: string },
  state: LiveState,
  left: () => number,
): Promise<boolean> {
  await removeDatabase(paths.old);
  const lock = state === "old" ? await lockAlone(plan, left) : undefined;
  try {
    if (state !== "missing") await link(plan.path, paths.old);
    // Whatever journal is left belongs to the old file; SQLite would apply it to the new one.
    await moveSidecars(plan.path, paths.old);
    await rename(paths.staged, plan.path);
    if (lock !== undefined && (await findOpeners(paths.old, process.pid)).processes.length > 0) {
      await link(plan.path, paths.staged);
      await rename(paths.old, plan.path);
      return false;
    }
    await syncPath(dirname(plan.path));
    return true;
  } finally {
    if (lock?.isOpen === true) lock.close();
  }
}

/** A connection that keeps every other one out of the database. Without a write-ahead log it touches no file when it closes. */
async function lockAlone(plan: SqlitePlan, left: () => number): Promise<DatabaseSync> {
  const database = openDatabase(plan.path);
  try {
    await untilFree(left(), () => {
      if (plan.wal === true) database.exec("PRAGMA journal_mode = delete");
      database.exec("BEGIN EXCLUSIVE");
    });
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Gives the old database the write-ahead log back that `exchangeFiles` took from it. */
export async function restoreJournalMode(plan: SqlitePlan, path: string, left: () => number): Promise<void> {
  if (plan.wal !== true) return;
  const database = openDatabase(path);
  try {
    await untilFree(left(), () => database.exec("PRAGMA journal_mode = wal"));
  } finally {
    database.close();
  }
}

/** Undoes `exchangeFiles`. */
export async function exchangeFilesBack(plan: SqlitePlan, old: string, left: () => number): Promise<void> {
  await emptyLog(plan.path, left);
  for (const suffix of sidecars) await rm(plan.path + suffix, { force: true });
  await restoreJournalMode(plan, old, left);
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

export function tooLate(path: string): HoldfastError {
  return new HoldfastError("TIMEOUT", `The SQLite database ${path} could not be replaced within the time given.`, {
    facts: { path },
    remedy: "Find the process that keeps a transaction open (fuser, lsof), or raise gateway.holdTimeout.",
  });
}

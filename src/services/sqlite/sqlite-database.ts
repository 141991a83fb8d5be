import { realpath, stat } from "node:fs/promises";
import { backup, DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { HoldfastError, messageOf, systemErrorCode } from "../../base/index.ts";

const pollMs = 2;
/** Pages that one step of a copy takes; between steps the event loop runs and a stop is looked for. */
const pagesPerStep = 2000;

/** SQLite's primary result code of an error, or undefined for another error. https://www.sqlite.org/rescode.html */
export function sqliteErrorCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || systemErrorCode(error) !== "ERR_SQLITE_ERROR") return undefined;
  return "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}

const busyCodes = new Set([5, 6]);
/** Somebody else has a lock. */
export const isBusy = (error: unknown): boolean => busyCodes.has(sqliteErrorCode(error) ?? -1);
/** 26: not a database; 11: malformed. */
export const isNoDatabase = (error: unknown): boolean => [11, 26].includes(sqliteErrorCode(error) ?? -1);

/**
 * The database file itself, links resolved.
 * @throws HoldfastError SERVICE_DATABASE_MISSING, SERVICE_PERMISSION_MISSING, SERVICE_UNSUPPORTED
 */
export async function resolveDatabase(path: string): Promise<string> {
  try {
    const resolved = await realpath(path);
    if ((await stat(resolved)).isFile()) return resolved;
    throw new HoldfastError("SERVICE_UNSUPPORTED", `The SQLite database ${path} is not a regular file.`, {
      facts: { path },
      remedy: "Correct the service's path.",
    });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new HoldfastError("SERVICE_DATABASE_MISSING", `There is no SQLite database at ${path}.`, {
        facts: { path },
        remedy: "Correct the service's path, or let the application create its database first.",
        cause: error,
      });
    }
    if (code === "EACCES" || code === "EPERM" || code === "ELOOP") throw denied(path, error);
    throw error;
  }
}

/**
 * Opens without creating. Statements never wait inside SQLite, which would stop the whole process: see `untilFree`.
 * SQLite's locks are the process's own: nothing else in this process may open and close the file meanwhile, or the
 * locks are gone (https://www.sqlite.org/howtocorrupt.html, section 2.2).
 */
export function openDatabase(path: string): DatabaseSync {
  return new DatabaseSync(databaseUrl(path, "rw"), { timeout: 0 });
}

/** For copies that nobody writes: takes no locks and leaves no files beside. */
export function openFrozen(path: string): DatabaseSync {
  return new DatabaseSync(`${databaseUrl(path, "ro")}&immutable=1`, { readOnly: true });
}

function databaseUrl(path: string, mode: string): string {
  return `${pathToFileURL(path).href}?mode=${mode}`;
}

/**
 * Does `work` as soon as no lock is in its way; tries every 2 ms without stopping the process.
 * @throws what `work` throws, and the last "busy" past `timeoutMs`
 */
export async function untilFree<T>(timeoutMs: number, work: () => T | Promise<T>): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isBusy(error) || performance.now() >= end) throw error;
      await delay(pollMs);
    }
  }
}

/** A value of a PRAGMA that yields one row, as text or number. */
export function pragma(database: DatabaseSync, name: string): string | number {
  const row = database.prepare(`PRAGMA ${name}`).get();
  const value = Object.values(row ?? {})[0];
  return typeof value === "string" || typeof value === "number" ? value : "";
}

/** Opens a read transaction and makes it see its moment. */
export function beginReading(database: DatabaseSync): void {
  database.exec("BEGIN");
  try {
    database.prepare("SELECT count(*) FROM sqlite_schema").get();
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

/**
 * Copies a database, as its connection sees it, over the file `destination` in one transaction there: whoever has it
 * open sees all or nothing. Runs beside the event loop. `stop` is asked after each step but the last; from the first step to the
 * end nobody else can write to the destination.
 */
export async function copyDatabase(
  source: DatabaseSync,
  destination: string,
  stop: () => Error | undefined,
): Promise<void> {
  const pages = Number(pragma(source, "page_count"));
  await backup(source, databaseUrl(destination, "rwc"), {
    // At least two steps.
    rate: Math.max(1, Math.min(pagesPerStep, Math.floor(pages / 2))),
    progress: () => {
      const error = stop();
      if (error !== undefined) throw error;
    },
  });
}

/** A HoldfastError for what SQLite says when a database is opened or read. */
export function databaseError(path: string, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const facts = { path };
  if (isBusy(error)) {
    return new HoldfastError("SERVICE_UNREACHABLE", `The SQLite database ${path} stays locked by another process.`, {
      facts,
      remedy: "Find the process that keeps a transaction open (fuser, lsof), or unset locking_mode=EXCLUSIVE.",
      cause: error,
    });
  }
  if (isNoDatabase(error)) {
    return new HoldfastError(
      "SERVICE_UNSUPPORTED",
      `${path} is not an SQLite database, is encrypted, or is damaged: ${messageOf(error)}`,
      {
        facts,
        remedy: "Correct the service's path; for a damaged one try `sqlite3 FILE .recover`.",
        cause: error,
      },
    );
  }
  const code = sqliteErrorCode(error);
  if (code === 13 || systemErrorCode(error) === "ENOSPC") return noRoom(path, error);
  if (code === 8 || code === 14 || code === 23) return denied(path, error);
  return new HoldfastError("SERVICE_UNREACHABLE", `The SQLite database ${path} cannot be read: ${messageOf(error)}`, {
    facts,
    cause: error,
  });
}

export function noRoom(path: string, cause?: unknown): HoldfastError {
  return new HoldfastError("TARGET_FULL", `No room left for a copy of the SQLite database ${path}.`, {
    facts: { path },
    remedy:
      "Make room: a backup needs the database's size in the state folder, a restore twice that beside the database.",
    cause,
  });
}

function denied(path: string, cause: unknown): HoldfastError {
  return new HoldfastError(
    "SERVICE_PERMISSION_MISSING",
    `The SQLite database ${path} cannot be opened: ${messageOf(cause)}`,
    {
      facts: { path },
      remedy: "Holdfast needs to read and write the database and its folder: SQLite keeps its locks and journal there.",
      cause,
    },
  );
}

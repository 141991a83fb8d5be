import { createHash } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type OperationId, systemErrorCode } from "../../base/index.ts";

/**
 * How the new database comes into the live one's place: "rename" of the files, "pages": those that differ are written into the live
 * file, "content": all through SQLite. Where the old state is: in the old file, in the replaced pages, in a copy.
 */
export type SwapMethod = "rename" | "pages" | "content";

/** What a restore does to a database; kept in the work folder, ahead of every step. */
export interface SqlitePlan {
  /** The live file, links resolved. */
  readonly path: string;
  /** False if there was none before the restore. */
  readonly existed: boolean;
  /** The database's own application_id, and the one that tells the restored database until it is settled. */
  applicationId: number;
  readonly mark: number;
  pageSize: number;
  /** True when the new database is complete and marked. */
  complete: boolean;
  /** Set when the old state is safe and the exchange begins. */
  method?: SwapMethod;
  /** Whether the old database had a write-ahead log when it was renamed; it has none as long as it is out of use. */
  wal?: boolean;
}

const planPath = (workDirectory: string): string => join(workDirectory, "sqlite-restore.json");

export async function readPlan(workDirectory: string): Promise<SqlitePlan | undefined> {
  try {
    return JSON.parse(await readFile(planPath(workDirectory), "utf8")) as SqlitePlan;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

export async function writePlan(workDirectory: string, plan: SqlitePlan): Promise<void> {
  const temporary = `${planPath(workDirectory)}.new`;
  {
    await using file = await open(temporary, "w", 0o600);
    await file.writeFile(JSON.stringify(plan));
    await file.sync();
  }
  await rename(temporary, planPath(workDirectory));
  await syncPath(workDirectory);
}

/** A number that no application has chosen for its application_id: of this operation, never 0. */
export function markOf(operation: OperationId): number {
  return (createHash("sha256").update(operation).digest().readUInt32BE(0) >>> 1) | 1;
}

/** Where the new database is staged and the old one kept: hidden files beside the live one, on the same file system. */
export function besidePaths(path: string, operation: OperationId): { readonly staged: string; readonly old: string } {
  const beside = join(dirname(path), `.${basename(path)}.holdfast-${operation}`);
  return { staged: `${beside}.new`, old: `${beside}.old` };
}

/** Files that SQLite keeps beside a database. */
export const sidecars = ["-wal", "-shm", "-journal"] as const;

/** The database's file and those that SQLite keeps beside it. */
export const sqliteFiles = (path: string): string[] => [path, ...sidecars.map((suffix) => path + suffix)];

export async function syncPath(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}

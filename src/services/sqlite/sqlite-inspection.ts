import { once } from "node:events";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";

/** What is in a database file that nobody writes. */
export interface SqliteInspection {
  /** Row counts by table name. */
  readonly tables: Readonly<Record<string, number>>;
  readonly userVersion: number;
  readonly applicationId: number;
  readonly pageSize: number;
  readonly sqliteVersion: string;
  /** "ok", or what PRAGMA quick_check complains about first. */
  readonly check: string;
}

/** Reads a whole database on a thread of its own, because SQLite's calls stop the thread that makes them. */
export async function inspectDatabase(path: string, signal: AbortSignal): Promise<SqliteInspection> {
  const worker = new Worker(new URL(`./sqlite-inspection-worker${extname(import.meta.url)}`, import.meta.url), {
    workerData: path,
  });
  try {
    const [inspection] = (await once(worker, "message", { signal })) as [SqliteInspection];
    return inspection;
  } finally {
    await worker.terminate();
  }
}

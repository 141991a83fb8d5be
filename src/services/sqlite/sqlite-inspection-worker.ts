import type { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { isNoDatabase, openFrozen, pragma } from "./sqlite-database.ts";
import type { SqliteInspection } from "./sqlite-inspection.ts";

function inspect(path: string): SqliteInspection {
  const database = openFrozen(path);
  try {
    return {
      tables: countRows(database),
      userVersion: Number(pragma(database, "user_version")),
      applicationId: Number(pragma(database, "application_id")),
      pageSize: Number(pragma(database, "page_size")),
      sqliteVersion: String(Object.values(database.prepare("SELECT sqlite_version()").get() ?? {})[0]),
      check: String(pragma(database, "quick_check(1)")),
    };
  } finally {
    database.close();
  }
}

function countRows(database: DatabaseSync): Record<string, number> {
  const counts: Record<string, number> = {};
  const tables = database.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name",
  );
  for (const { name } of tables.all()) {
    const table = String(name);
    try {
      const row = database.prepare(`SELECT count(*) AS rows FROM "${table.replaceAll('"', '""')}"`).get();
      counts[table] = Number(row?.["rows"]);
    } catch (error) {
      // A virtual table of an extension that is not loaded here: its data is in its shadow tables, which are counted.
      // A damaged table: quick_check says so.
      const unknown = error instanceof Error && /no such (module|tokenizer|function)/.test(error.message);
      if (!unknown && !isNoDatabase(error)) throw error;
    }
  }
  return counts;
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
parentPort?.postMessage(inspect(String(workerData)));

import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import pg from "pg";
import type { CatalogPlace } from "../../src/control/index.ts";
import { activityRow, backupRow, type CatalogSize } from "./rows.ts";

const batchRows = 5000;

/** Puts the rows into a catalog whose tables are there and empty, as fast as the database takes them. */
export async function fillCatalog(place: CatalogPlace, size: CatalogSize): Promise<void> {
  const tables: readonly (readonly [string, number, (n: number) => object])[] = [
    ["backups", size.backups, (n) => backupRow(n, size)],
    ["activities", size.activities, (n) => activityRow(n, size)],
  ];
  if ("file" in place) fillSqlite(place.file, tables);
  else await fillPostgresql(place.url, tables);
}

function fillSqlite(file: string, tables: readonly (readonly [string, number, (n: number) => object])[]): void {
  const database = new DatabaseSync(file);
  for (const [table, count, row] of tables) {
    const columns = Object.keys(row(0));
    const insert = database.prepare(
      `INSERT INTO ${table} (${columns.join()}) VALUES (${columns.map(() => "?").join()})`,
    );
    for (let from = 0; from < count; from += batchRows) {
      database.exec("BEGIN");
      for (let n = from; n < Math.min(count, from + batchRows); n += 1) {
        insert.run(...(Object.values(row(n)) as SQLInputValue[]));
      }
      database.exec("COMMIT");
    }
  }
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}

async function fillPostgresql(
  url: string,
  tables: readonly (readonly [string, number, (n: number) => object])[],
): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  for (const [table, count, row] of tables) {
    for (let from = 0; from < count; from += batchRows) {
      const rows = Array.from({ length: Math.min(batchRows, count - from) }, (_, n) => row(from + n));
      await client.query(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1::json)`, [
        JSON.stringify(rows),
      ]);
    }
    await client.query(`VACUUM ANALYZE ${table}`);
  }
  await client.end();
}

import type { OrderCache, SeedFacts } from "../order.ts";
import { seedText } from "./seed-text.ts";
import { SqliteFile } from "./sqlite-file.ts";

/** The cache in a SQLite database, where no Redis is installed. */
export class SqliteCache implements OrderCache {
  readonly kind = "SQLite";
  readonly #file: SqliteFile;

  constructor(path: string) {
    this.#file = new SqliteFile(
      path,
      `CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
       CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
       CREATE TABLE IF NOT EXISTS page (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;`,
    );
  }

  async prepare(): Promise<void> {
    this.#file.get();
    await Promise.resolve();
  }

  async put(id: string, sha256: string): Promise<void> {
    const database = this.#file.get();
    database.exec("BEGIN IMMEDIATE");
    try {
      const entry = database.prepare("INSERT INTO entry VALUES (?, ?) ON CONFLICT (key) DO NOTHING").run(id, sha256);
      database
        .prepare("INSERT INTO counter VALUES ('orders', ?1) ON CONFLICT (name) DO UPDATE SET value = value + ?1")
        .run(entry.changes);
      database.exec("COMMIT");
    } catch (error) {
      database.exec("ROLLBACK");
      throw error;
    }
    await Promise.resolve();
  }

  async count(): Promise<number> {
    const row = this.#file.get().prepare("SELECT value FROM counter WHERE name = 'orders'").get();
    return Promise.resolve(Number(row?.["value"] ?? 0));
  }

  async *entries(): AsyncIterable<{ readonly id: string; readonly sha256: string }> {
    for (const row of this.#file.get().prepare("SELECT key, value FROM entry").all()) {
      yield await Promise.resolve({ id: String(row["key"]), sha256: String(row["value"]) });
    }
  }

  async loseOrders(): Promise<void> {
    this.#file.get().exec("BEGIN; DELETE FROM entry; DELETE FROM counter; COMMIT");
    await Promise.resolve();
  }

  async seed(keys: number, valueBytes: number): Promise<void> {
    for (let number = (await this.seeded()).rows; number < keys;) {
      const database = this.#file.get();
      const insert = database.prepare("INSERT INTO page VALUES (?, ?)");
      database.exec("BEGIN");
      for (const end = Math.min(keys, number + 1000); number < end; number += 1)
        insert.run(number, seedText(number, valueBytes));
      database.exec("COMMIT");
    }
  }

  async seeded(): Promise<SeedFacts> {
    const query = "SELECT count(*) AS rows, coalesce(sum(length(text)), 0) AS bytes FROM page";
    const row = this.#file.get().prepare(query).get();
    return Promise.resolve({ rows: Number(row?.["rows"] ?? 0), sizeBytes: Number(row?.["bytes"] ?? 0) });
  }

  async close(): Promise<void> {
    this.#file.close();
    await Promise.resolve();
  }
}

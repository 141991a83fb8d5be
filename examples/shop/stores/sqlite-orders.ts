import type { OrderDatabase, OrderRow, SeedFacts } from "../order.ts";
import { seedText } from "./seed-text.ts";
import { SqliteFile } from "./sqlite-file.ts";

/** The table in a SQLite database, where no server is installed. */
export class SqliteOrders implements OrderDatabase {
  readonly kind = "SQLite";
  readonly #file: SqliteFile;
  readonly #table: string;

  constructor(path: string, table: string) {
    this.#table = table;
    this.#file = new SqliteFile(
      path,
      `CREATE TABLE IF NOT EXISTS ${table} (id TEXT PRIMARY KEY, created_at_ms INTEGER NOT NULL, customer TEXT NOT NULL,
         product TEXT NOT NULL, quantity INTEGER NOT NULL, sha256 TEXT NOT NULL) STRICT;
       CREATE INDEX IF NOT EXISTS ${table}_newest ON ${table} (created_at_ms);
       CREATE TABLE IF NOT EXISTS catalogue (number INTEGER PRIMARY KEY, description TEXT NOT NULL) STRICT;`,
    );
  }

  async prepare(): Promise<void> {
    this.#file.get();
    await Promise.resolve();
  }

  async put(order: OrderRow): Promise<void> {
    const { id, createdAtMs, customer, product, quantity, sha256 } = order;
    this.#file
      .get()
      .prepare(`INSERT INTO ${this.#table} VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`)
      .run(id, createdAtMs, customer, product, quantity, sha256);
    await Promise.resolve();
  }

  async find(id: string): Promise<OrderRow | undefined> {
    return Promise.resolve(this.#query("WHERE id = ?", id)[0]);
  }

  async newest(count: number): Promise<OrderRow[]> {
    return Promise.resolve(this.#query("ORDER BY created_at_ms DESC LIMIT ?", count));
  }

  async *orders(): AsyncIterable<OrderRow> {
    let last: string | undefined = "";
    while (last !== undefined) {
      const rows: OrderRow[] = this.#query("WHERE id > ? ORDER BY id LIMIT 1000", last);
      yield* rows;
      last = await Promise.resolve(rows.at(-1)?.id);
    }
  }

  async loseOrders(): Promise<void> {
    this.#file.get().exec(`DELETE FROM ${this.#table}`);
    await Promise.resolve();
  }

  async seed(rows: number, rowBytes: number): Promise<void> {
    for (let number = (await this.seeded()).rows; number < rows;) {
      const database = this.#file.get();
      const insert = database.prepare("INSERT INTO catalogue VALUES (?, ?)");
      database.exec("BEGIN");
      for (const end = Math.min(rows, number + 1000); number < end; number += 1)
        insert.run(number, seedText(number, rowBytes));
      database.exec("COMMIT");
    }
  }

  async seeded(): Promise<SeedFacts> {
    const query = "SELECT count(*) AS rows, coalesce(sum(length(description)), 0) AS bytes FROM catalogue";
    const row = this.#file.get().prepare(query).get();
    return Promise.resolve({ rows: Number(row?.["rows"] ?? 0), sizeBytes: Number(row?.["bytes"] ?? 0) });
  }

  async close(): Promise<void> {
    this.#file.close();
    await Promise.resolve();
  }

  #query(rest: string, value: string | number): OrderRow[] {
    const rows = this.#file.get().prepare(`SELECT * FROM ${this.#table} ${rest}`).all(value);
    return rows.map((row) => ({
      id: String(row["id"]),
      createdAtMs: Number(row["created_at_ms"]),
      customer: String(row["customer"]),
      product: String(row["product"]),
      quantity: Number(row["quantity"]),
      sha256: String(row["sha256"]),
    }));
  }
}

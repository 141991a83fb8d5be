import { createPool, type Pool, type ResultSetHeader, type RowDataPacket } from "mysql2/promise";
import type { OrderDatabase, OrderRow, SeedFacts } from "../order.ts";
import { codeOf, isBrokenConnection, withRetry } from "../retry.ts";
import { seedText } from "./seed-text.ts";

interface Row extends RowDataPacket {
  id: string;
  created_at_ms: number;
  customer: string;
  product: string;
  quantity: number;
  sha256: string;
}

// Lost connections and locks, and a table or schema that is away for the moment of a restore's swap.
const passing = new Set([
  "PROTOCOL_CONNECTION_LOST",
  "ER_SERVER_SHUTDOWN",
  "ER_NORMAL_SHUTDOWN",
  "ER_LOCK_DEADLOCK",
  "ER_LOCK_WAIT_TIMEOUT",
  "ER_NO_SUCH_TABLE",
  "ER_BAD_DB_ERROR",
  "ER_CONNECTION_KILLED",
]);

const passes = (error: unknown): boolean => passing.has(codeOf(error)) || isBrokenConnection(error);

/** The table in a MariaDB or MySQL database. */
export class MariadbOrders implements OrderDatabase {
  readonly kind = "MariaDB";
  readonly #pool: Pool;
  readonly #table: string;

  constructor(url: string, table: string) {
    this.#table = table;
    this.#pool = createPool({ uri: url, connectionLimit: 10, connectTimeout: 5_000 });
  }

  async prepare(): Promise<void> {
    await this.#execute(`CREATE TABLE IF NOT EXISTS ${this.#table} (id char(36) CHARACTER SET ascii PRIMARY KEY,
      created_at_ms bigint NOT NULL, customer text NOT NULL, product text NOT NULL, quantity int NOT NULL,
      sha256 char(64) CHARACTER SET ascii NOT NULL, INDEX newest (created_at_ms)) ENGINE=InnoDB CHARACTER SET utf8mb4`);
    await this.#execute(`CREATE TABLE IF NOT EXISTS parcels (number bigint PRIMARY KEY, label longtext NOT NULL)
      ENGINE=InnoDB CHARACTER SET utf8mb4`);
  }

  async put(order: OrderRow): Promise<void> {
    const { id, createdAtMs, customer, product, quantity, sha256 } = order;
    await this.#execute(
      `INSERT INTO ${this.#table} VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE id = VALUES(id)`,
      [id, createdAtMs, customer, product, quantity, sha256],
    );
  }

  async find(id: string): Promise<OrderRow | undefined> {
    return (await this.#query(`SELECT * FROM ${this.#table} WHERE id = ?`, [id])).map(orderOf)[0];
  }

  async newest(count: number): Promise<OrderRow[]> {
    const rows = await this.#query(`SELECT * FROM ${this.#table} ORDER BY created_at_ms DESC LIMIT ?`, [String(count)]);
    return rows.map(orderOf);
  }

  async *orders(): AsyncIterable<OrderRow> {
    let last = "";
    for (;;) {
      const rows = await this.#query(`SELECT * FROM ${this.#table} WHERE id > ? ORDER BY id LIMIT 1000`, [last]);
      for (const row of rows) yield orderOf(row);
      last = rows.at(-1)?.id ?? "";
      if (last === "") return;
    }
  }

  async loseOrders(): Promise<void> {
    await this.#execute(`DELETE FROM ${this.#table}`);
  }

  async seed(rows: number, rowBytes: number): Promise<void> {
    for (let number = (await this.seeded()).rows; number < rows;) {
      const numbers = Array.from({ length: Math.min(200, rows - number) }, (_, at) => number + at);
      const values = numbers.flatMap((one) => [one, seedText(one, rowBytes)]);
      await this.#execute(`INSERT INTO parcels VALUES ${numbers.map(() => "(?, ?)").join(", ")}`, values);
      number += numbers.length;
    }
  }

  async seeded(): Promise<SeedFacts> {
    const query = "SELECT count(*) AS `rows`, coalesce(sum(length(label)), 0) AS bytes FROM parcels";
    const [rows] = await withRetry(() => this.#pool.query<RowDataPacket[]>(query), passes);
    return { rows: Number(rows[0]?.["rows"] ?? 0), sizeBytes: Number(rows[0]?.["bytes"] ?? 0) };
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #query(sql: string, values: readonly (string | number)[]): Promise<Row[]> {
    const [rows] = await withRetry(() => this.#pool.execute<Row[]>(sql, [...values]), passes);
    return rows;
  }

  async #execute(sql: string, values: readonly (string | number)[] = []): Promise<void> {
    await withRetry(() => this.#pool.query<ResultSetHeader>(sql, [...values]), passes);
  }
}

const orderOf = (row: Row): OrderRow => ({
  id: row.id,
  createdAtMs: row.created_at_ms,
  customer: row.customer,
  product: row.product,
  quantity: row.quantity,
  sha256: row.sha256,
});

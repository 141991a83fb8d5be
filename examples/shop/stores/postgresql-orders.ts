import { Pool } from "pg";
import type { OrderDatabase, OrderRow, SeedFacts } from "../order.ts";
import { codeOf, isBrokenConnection, withRetry } from "../retry.ts";
import { seedText } from "./seed-text.ts";

interface Row {
  id: string;
  created_at_ms: string;
  customer: string;
  product: string;
  quantity: number;
  sha256: string;
}

// Connections ended by the administrator, a server that starts, a database that is away for the moment of a rename.
const passing = new Set(["57P01", "57P02", "57P03", "55000", "3D000", "08006", "08003", "08001", "40001", "40P01"]);

function passes(error: unknown): boolean {
  if (passing.has(codeOf(error)) || isBrokenConnection(error)) return true;
  return (
    error instanceof Error && /Connection terminated|Client has encountered a connection error/.test(error.message)
  );
}

/** The table in a PostgreSQL database. */
export class PostgresqlOrders implements OrderDatabase {
  readonly kind = "PostgreSQL";
  readonly #pool: Pool;
  readonly #table: string;
  /** When ended connections were told of last. */
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(url: string, table: string) {
    this.#table = table;
    this.#pool = new Pool({ connectionString: url, max: 10, connectionTimeoutMillis: 5_000 });
    // An idle connection that is ended tells it here; without a listener it would end the process. The pool drops it.
    this.#pool.on("error", (error) => this.#tellOfIdle(error));
  }

  /** A restore ends all connections at once: one line tells of them. */
  #tellOfIdle(error: Error): void {
    if (codeOf(error) !== "57P01") {
      process.stderr.write(`shop: PostgreSQL: ${error.message}\n`);
      return;
    }
    const now = performance.now();
    if (now - this.#toldMs < 1000) return;
    this.#toldMs = now;
    process.stderr.write("shop: PostgreSQL ended idle connections; new ones are opened\n");
  }

  async prepare(): Promise<void> {
    await this.#query(`CREATE TABLE IF NOT EXISTS ${this.#table} (id uuid PRIMARY KEY, created_at_ms bigint NOT NULL,
      customer text NOT NULL, product text NOT NULL, quantity integer NOT NULL CHECK (quantity > 0), sha256 text NOT NULL)`);
    await this.#query(`CREATE INDEX IF NOT EXISTS ${this.#table}_newest ON ${this.#table} (created_at_ms)`);
    await this.#query("CREATE TABLE IF NOT EXISTS catalogue (number bigint PRIMARY KEY, description text NOT NULL)");
  }

  async put(order: OrderRow): Promise<void> {
    await this.#query(`INSERT INTO ${this.#table} VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING`, [
      order.id,
      order.createdAtMs,
      order.customer,
      order.product,
      order.quantity,
      order.sha256,
    ]);
  }

  async find(id: string): Promise<OrderRow | undefined> {
    const rows = await this.#query(`SELECT * FROM ${this.#table} WHERE id = $1`, [id]);
    return rows.map(orderOf)[0];
  }

  async newest(count: number): Promise<OrderRow[]> {
    return (await this.#query(`SELECT * FROM ${this.#table} ORDER BY created_at_ms DESC LIMIT $1`, [count])).map(
      orderOf,
    );
  }

  async *orders(): AsyncIterable<OrderRow> {
    let last = "00000000-0000-0000-0000-000000000000";
    for (;;) {
      const rows = await this.#query(`SELECT * FROM ${this.#table} WHERE id > $1 ORDER BY id LIMIT 1000`, [last]);
      for (const row of rows) yield orderOf(row);
      last = rows.at(-1)?.id ?? "";
      if (last === "") return;
    }
  }

  async loseOrders(): Promise<void> {
    await this.#query(`DELETE FROM ${this.#table}`);
  }

  async seed(rows: number, rowBytes: number): Promise<void> {
    for (let number = (await this.seeded()).rows; number < rows;) {
      const numbers = Array.from({ length: Math.min(200, rows - number) }, (_, at) => number + at);
      const texts = numbers.map((one) => seedText(one, rowBytes));
      await this.#query("INSERT INTO catalogue SELECT * FROM unnest($1::bigint[], $2::text[])", [numbers, texts]);
      number += numbers.length;
    }
  }

  async seeded(): Promise<SeedFacts> {
    const query = "SELECT count(*)::int AS rows, coalesce(sum(length(description)), 0)::bigint AS bytes FROM catalogue";
    const { rows } = await withRetry(() => this.#pool.query<{ rows: number; bytes: string }>(query), passes);
    return { rows: rows[0]?.rows ?? 0, sizeBytes: Number(rows[0]?.bytes ?? 0) };
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #query(sql: string, values: unknown[] = []): Promise<Row[]> {
    const result = await withRetry(() => this.#pool.query<Row>(sql, values), passes);
    return result.rows;
  }
}

const orderOf = (row: Row): OrderRow => ({
  id: row.id,
  createdAtMs: Number(row.created_at_ms),
  customer: row.customer,
  product: row.product,
  quantity: row.quantity,
  sha256: row.sha256,
});

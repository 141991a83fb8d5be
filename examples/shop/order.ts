/** What a customer ordered; one row of it is in each database. */
export interface OrderRow {
  /** A random UUID. */
  readonly id: string;
  readonly createdAtMs: number;
  readonly customer: string;
  readonly product: string;
  readonly quantity: number;
  /** Of the uploaded file, 64 hexadecimal digits. In every store, so that a check sees whether they agree. */
  readonly sha256: string;
}

/** What fills the shop before a measurement. */
export interface SeedFacts {
  readonly rows: number;
  readonly sizeBytes: number;
}

/** One of the shop's two databases: an order's row, and the bulk of other data beside it. */
export interface OrderDatabase {
  /** What the database is: "PostgreSQL", "MariaDB", "SQLite". */
  readonly kind: string;
  /** Makes the tables if they are missing. */
  prepare(): Promise<void>;
  /** Durable once it resolves. Putting the same order again changes nothing, so that it can be repeated. */
  put(order: OrderRow): Promise<void>;
  find(id: string): Promise<OrderRow | undefined>;
  /** The newest first. */
  newest(count: number): Promise<OrderRow[]>;
  /** All of them, in no particular order. */
  orders(): AsyncIterable<OrderRow>;
  /** Deletes every order, as a mishap would. */
  loseOrders(): Promise<void>;
  /** Adds rows of about `rowBytes` until there are `rows`. */
  seed(rows: number, rowBytes: number): Promise<void>;
  /** What is there of it. */
  seeded(): Promise<SeedFacts>;
  close(): Promise<void>;
}

/** The shop's cache: a key for each order, and how many there are. */
export interface OrderCache {
  readonly kind: string;
  prepare(): Promise<void>;
  /** Sets the order's key and counts it, both or neither; durable once it resolves. Repeating it changes nothing. */
  put(id: string, sha256: string): Promise<void>;
  /** The counter. */
  count(): Promise<number>;
  entries(): AsyncIterable<{ readonly id: string; readonly sha256: string }>;
  /** Deletes every order and the counter, as a mishap would. */
  loseOrders(): Promise<void>;
  seed(keys: number, valueBytes: number): Promise<void>;
  seeded(): Promise<SeedFacts>;
  close(): Promise<void>;
}

import { sql } from "kysely";
import type { Clock } from "../../base/index.ts";
import { activityChannel, type ActivityFeed, type ActivityName } from "../activities/activity-feed.ts";
import type { CatalogKind, CatalogQueries } from "./catalog-schema.ts";

/** The open database as the stores of the catalog's tables use it. */
export class CatalogDatabase {
  readonly kind: CatalogKind;
  /** Of this process, for what nobody else judges by it. */
  readonly clock: Clock;
  readonly feed: ActivityFeed;
  readonly #queries: CatalogQueries;
  readonly #toError: (error: unknown) => Error;

  /** @param toError makes what the database throws into what the catalog throws */
  constructor(
    queries: CatalogQueries,
    options: {
      readonly kind: CatalogKind;
      readonly clock: Clock;
      readonly feed: ActivityFeed;
      readonly toError: (error: unknown) => Error;
    },
  ) {
    this.#queries = queries;
    this.kind = options.kind;
    this.clock = options.clock;
    this.feed = options.feed;
    this.#toError = options.toError;
  }

  /** Statements that stand each for itself. @throws HoldfastError STATE_UNUSABLE */
  async use<T>(run: (queries: CatalogQueries) => Promise<T>): Promise<T> {
    try {
      return await run(this.#queries);
    } catch (error) {
      throw this.#toError(error);
    }
  }

  /** All or nothing; durable when it resolves. @throws HoldfastError STATE_UNUSABLE, and what `run` throws */
  change<T>(run: (transaction: CatalogQueries) => Promise<T>): Promise<T> {
    return this.use((queries) => queries.transaction().execute(run));
  }

  /**
   * As `change`; who watches activities is told of those that `run` names, once it is durable. On PostgreSQL every process
   * is, by NOTIFY; on SQLite this one now, and others when they look.
   */
  async changeActivities<T>(
    run: (transaction: CatalogQueries, tell: (activity: ActivityName) => void) => Promise<T>,
  ): Promise<T> {
    const changed: ActivityName[] = [];
    const value = await this.change(async (transaction) => {
      const result = await run(transaction, (activity) => changed.push(activity));
      if (this.kind === "postgresql") {
        for (const name of changed) {
          await sql`SELECT pg_notify(${activityChannel}, ${JSON.stringify(name)})`.execute(transaction);
        }
      }
      return result;
    });
    if (this.kind === "sqlite") for (const name of changed) this.feed.emit(name);
    return value;
  }

  /**
   * Milliseconds since 1970 by the database's clock, which all processes that use it share. Leases are judged by it.
   * On PostgreSQL it goes on inside a transaction.
   */
  async nowMs(queries: CatalogQueries): Promise<number> {
    const expression =
      this.kind === "sqlite"
        ? sql<{ now: number }>`SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now`
        : sql<{ now: number }>`SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now`;
    const row = (await expression.execute(queries)).rows[0];
    if (row === undefined) throw new TypeError("A SELECT without FROM yields one row.");
    return row.now;
  }

  async close(): Promise<void> {
    await this.feed.close();
    await this.#queries.destroy();
  }
}

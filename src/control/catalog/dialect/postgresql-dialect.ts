import pg from "pg";
import { type Dialect, PostgresDialect, type PostgresPoolClient } from "kysely";

/** By how much later than the server we give up, so that it is the server that ends a statement. */
const answerMarginMs = 2000;

/**
 * Kysely on a PostgreSQL server, which is not asked for anything yet. Numbers of 64 bits come as JavaScript's, which hold
 * milliseconds and counts exactly. Destroying Kysely closes the connections.
 * @param timeoutMs for connecting, and for each answer
 */
export function postgresqlDialect(url: string, timeoutMs: number): Dialect {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: "holdfast",
    max: 4,
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs + answerMarginMs,
    keepAlive: true,
    // A command ends when its work is done, not when its connections have been idle for long enough.
    allowExitOnIdle: true,
    types: {
      getTypeParser: (oid, format) => (oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format)),
    },
  });
  // A connection that breaks while nobody uses it: the pool drops it and opens another when one is needed.
  pool.on("error", () => undefined);
  return new PostgresDialect({
    pool: { options: pool.options, end: () => pool.end(), connect: () => connect(pool, timeoutMs) },
  });
}

/**
 * A connection that broke, or on which a time limit passed, is not used again: a late answer would be taken for the next
 * question's.
 */
async function connect(pool: pg.Pool, timeoutMs: number): Promise<PostgresPoolClient> {
  const client = await pool.connect();
  let broken = false;
  // Besides the query's own failure; without a listener it would end the process.
  const markBroken = (): void => {
    broken = true;
  };
  client.on("error", markBroken);
  const query = async (sql: string, parameters: readonly unknown[]): Promise<unknown> => {
    try {
      return await client.query(sql, [...parameters]);
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.severity === "FATAL") broken = true;
      throw error;
    }
  };
  const release = (): void => {
    client.removeListener("error", markBroken);
    client.release(broken);
  };
  try {
    if (!prepared.has(client)) await query(sessionSettings, [String(timeoutMs)]);
    prepared.add(client);
    return { query, release } as PostgresPoolClient;
  } catch (error) {
    release();
    throw error;
  }
}

/** Connections whose session has its settings. */
const prepared = new WeakSet<pg.PoolClient>();

/**
 * Neither durability nor the time limit may depend on how the server or the role is set up. The server's limit ends a
 * statement that would otherwise take effect after its caller was told that it failed.
 */
const sessionSettings = `SELECT set_config('statement_timeout', $1, false),
  set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)`;

import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import type { PostgresqlConnection } from "./postgresql-connection.ts";
import { isSqlError, sqlState } from "./postgresql-errors.ts";
import { quoteIdentifier, quoteLiteral, type ScratchNames } from "./postgresql-quoting.ts";
import { PostgresqlSession } from "./postgresql-session.ts";

/** A session outside of the database that is exchanged: in "postgres", or "template1" where there is none. */
export async function openMaintenance(
  connection: PostgresqlConnection,
  timeoutMs?: number,
): Promise<PostgresqlSession> {
  const candidates = ["postgres", "template1"].filter((name) => name !== connection.address.database);
  let firstError: unknown;
  for (const database of candidates) {
    try {
      return await PostgresqlSession.open(connection, database, timeoutMs);
    } catch (error) {
      if (
        !isHoldfastError(error, "SERVICE_DATABASE_MISSING") &&
        !isHoldfastError(error, "SERVICE_PERMISSION_MISSING") &&
        !isHoldfastError(error, "SERVICE_LOGIN_FAILED")
      ) {
        throw error;
      }
      firstError ??= error;
    }
  }
  throw firstError;
}

/** Which of a restore's databases are there: all that revert and settle go by. */
export interface DatabaseState {
  readonly live: boolean;
  readonly staged: boolean;
  readonly old: boolean;
  readonly place: boolean;
  readonly absent: boolean;
}

export async function readState(
  session: PostgresqlSession,
  names: ScratchNames,
  options: { readonly timeoutMs?: number } = {},
): Promise<DatabaseState> {
  const wanted = [names.live, names.staged, names.old, names.place, names.absent].map(quoteLiteral);
  const rows = await session.rows<{ name: string }>(
    `SELECT datname AS name FROM pg_catalog.pg_database WHERE datname IN (${wanted.join(", ")})`,
    options,
  );
  const there = new Set(rows.map(({ name }) => name));
  return {
    live: there.has(names.live),
    staged: there.has(names.staged),
    old: there.has(names.old),
    place: there.has(names.place),
    absent: there.has(names.absent),
  };
}

/** Which sessions: those of one application name, or those in these databases. Never our own. */
type SessionsToEnd = { readonly applicationName: string } | { readonly databases: readonly string[] };

function sessionsWhere(which: SessionsToEnd): string {
  const condition =
    "applicationName" in which
      ? `application_name = ${quoteLiteral(which.applicationName)}`
      : // Autovacuum has no user. The server ends it by itself when a database is renamed or dropped.
        `datname IN (${which.databases.map(quoteLiteral).join(", ")}) AND usesysid IS NOT NULL`;
  return `FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid() AND ${condition}`;
}

/**
 * Ends sessions and waits until they are gone.
 * @throws SqlError (insufficientPrivilege); HoldfastError TIMEOUT after `timeoutMs` (default 10,000)
 */
export async function endSessions(session: PostgresqlSession, which: SessionsToEnd, timeoutMs = 10_000): Promise<void> {
  const startedAt = performance.now();
  for (;;) {
    const ended = await session.rows(`SELECT pg_catalog.pg_terminate_backend(pid) AS sent ${sessionsWhere(which)}`);
    if (ended.length === 0) return;
    if (performance.now() - startedAt > timeoutMs) {
      throw new HoldfastError("TIMEOUT", `${ended.length} PostgreSQL sessions did not end within ${timeoutMs} ms.`);
    }
    await delay(2);
  }
}

export interface Rename {
  readonly from: string;
  readonly to: string;
}

/**
 * Renames databases in one transaction: all or none, and at no moment is a name missing for others. The server renames
 * no database that has sessions, so these are ended first; one that sneaks in costs another try. A client that connects
 * in the middle waits for the transaction and then gets one "does not exist", as when the server restarts.
 * @throws SqlError; HoldfastError TIMEOUT past `deadlineMs`
 */
export async function renameAtOnce(
  session: PostgresqlSession,
  renames: readonly Rename[],
  deadlineMs: number,
): Promise<{ readonly tries: number }> {
  const startedAt = performance.now();
  const remainingMs = (): number => deadlineMs - (performance.now() - startedAt);
  const databases = renames.map(({ from }) => from);
  const end = `SELECT pg_catalog.pg_terminate_backend(pid) ${sessionsWhere({ databases })}`;
  for (let tries = 1; ; tries += 1) {
    if (remainingMs() <= 0) {
      throw new HoldfastError("TIMEOUT", `Sessions kept coming into the database for ${deadlineMs} ms.`, {
        facts: { tries },
      });
    }
    // The server looks for sessions every 100 ms while it has the database locked against new ones. So from the
    // second try on we do not wait for them to go before the lock, but let it wait for them.
    if (tries === 1) await endSessions(session, { databases }, Math.min(remainingMs(), 500)).catch(ignoreTimeout);
    else await session.execute(end, { timeoutMs: Math.max(1, remainingMs()) });
    try {
      const patienceMs = Math.max(1, Math.min(Math.floor(remainingMs()), tries === 1 ? 40 : 350));
      await session.execute(
        [
          "BEGIN",
          `SET LOCAL lock_timeout = ${patienceMs}`,
          `SET LOCAL statement_timeout = ${patienceMs}`,
          ...renames.map(({ from, to }) => `ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`),
          "COMMIT",
        ].join(" \\; "),
        { timeoutMs: Math.max(1, remainingMs()) },
      );
      return { tries };
    } catch (error) {
      if (!isSqlError(error, sqlState.objectInUse, sqlState.queryCanceled, sqlState.lockNotAvailable)) throw error;
      await session.execute("ROLLBACK");
    }
  }
}

function ignoreTimeout(error: unknown): void {
  if (!isHoldfastError(error, "TIMEOUT")) throw error;
}

/** Drops a database with whatever sessions it has, if it is there. */
export async function dropDatabase(session: PostgresqlSession, name: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    await endSessions(session, { databases: [name] });
    try {
      await session.execute(`DROP DATABASE IF EXISTS ${quoteIdentifier(name)}`);
      return;
    } catch (error) {
      if (!isSqlError(error, sqlState.objectInUse) || tries === 5) throw error;
    }
  }
}

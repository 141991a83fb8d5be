import { createHash } from "node:crypto";
import type { OperationId } from "../../base/index.ts";
import type { MariadbConnection } from "./mariadb-config.ts";
import { serverErrorNumber, serverErrors } from "./mariadb-errors.ts";
import { MariadbSession, type SessionOptions } from "./mariadb-session.ts";
import { quoteText } from "./sql-text.ts";

/** What a session of a restore is for. There is at most one of each at a time. */
export type SessionRole = "control" | "loader" | "work";

const roles: readonly SessionRole[] = ["control", "loader", "work"];

const endTimeoutSeconds = 30;
const attempts = 5;

/** How the sessions of one restore of one database are opened. */
export interface OperationScope {
  readonly connection: MariadbConnection;
  readonly operationId: OperationId;
}

/**
 * Opens a session that holds a user-level lock (GET_LOCK) of its operation and role for as long as the server knows it. By that
 * lock a later session finds what a dead process, or a call that gave up, left running on the server: a client program that has
 * statements in its input goes on with them, or waits for a table, after Holdfast is gone. Whoever has the role is ended first.
 * @throws as `MariadbSession.open`
 */
export async function openInRole(
  scope: OperationScope,
  role: SessionRole,
  options: SessionOptions = {},
): Promise<MariadbSession> {
  const lock = quoteText(lockName(scope, role));
  const session = await MariadbSession.open(scope.connection, options);
  try {
    // The lock of a session that was just closed is free in an instant, as soon as the server sees it gone.
    const free = await session.value(`SELECT GET_LOCK(${lock}, 0.2)`);
    if (free !== "1") {
      await endHolder(scope, lock);
      await session.query(`SELECT GET_LOCK(${lock}, ${endTimeoutSeconds})`);
    }
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
}

/**
 * Ends every session of the operation but those in the roles `own`, of whatever process, and returns when the server has let go
 * of them. `session` asks.
 */
export async function endOtherSessions(
  scope: OperationScope,
  session: MariadbSession,
  own: readonly SessionRole[],
): Promise<void> {
  const locks = roles.filter((role) => !own.includes(role)).map((role) => quoteText(lockName(scope, role)));
  const [holders = []] = await session.query(`SELECT ${locks.map((lock) => `IS_USED_LOCK(${lock})`).join(", ")}`);
  for (const [at, lock] of locks.entries()) if (holders[at] !== "NULL") await endHolder(scope, lock);
}

async function endHolder(scope: OperationScope, lock: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    // In a session of its own: where the holder ends by itself meanwhile, KILL fails and ends the session.
    const session = await MariadbSession.open(scope.connection);
    try {
      const holder = await session.value(`SELECT IS_USED_LOCK(${lock})`);
      if (holder === undefined || holder === "NULL") return;
      await session.query(`KILL ${Number(holder)}`);
      if ((await session.value(`SELECT GET_LOCK(${lock}, ${endTimeoutSeconds})`)) === "1") return;
    } catch (error) {
      if (serverErrorNumber(error) !== serverErrors.noSuchThread || attempt === attempts) throw error;
    } finally {
      await session.close();
    }
  }
}

/** A lock's name has at most 64 characters and no case. */
function lockName({ connection, operationId }: OperationScope, role: SessionRole): string {
  const database = createHash("sha256").update(connection.database).digest("hex").slice(0, 16);
  return `holdfast-${operationId}-${database}-${role}`;
}

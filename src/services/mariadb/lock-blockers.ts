import type { MariadbConnection } from "./mariadb-config.ts";
import { readPrivileges } from "./mariadb-server.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { quoteText } from "./sql-text.ts";

/** A connection that may be what a statement waits for. */
export interface Blocker {
  readonly id: number;
  /** "shop@10.0.0.7:51234". */
  readonly client: string;
  /** "has had a transaction open for 37 s", "has been running a statement for 37 s", ... */
  readonly doing: string;
}

const shown = 3;

/**
 * Who keeps the database's tables in use, most likely first, at most three: connections with an open transaction (visible with
 * the right PROCESS), else those that run a statement, else idle ones, which may have locked tables. Without PROCESS the server
 * shows only connections of the same user. Never the text of a statement, which may hold secrets.
 */
export async function findBlockers(
  session: MariadbSession,
  connection: MariadbConnection,
  ours: readonly number[],
): Promise<Blocker[]> {
  const others = `p.ID NOT IN (${ours.join(", ")}) AND IFNULL(p.STATE, '') NOT LIKE 'Waiting for%metadata lock%'`;
  const columns = "p.ID, p.USER, p.HOST";
  const here = `p.DB = ${quoteText(connection.database)}`;
  const processes = "information_schema.PROCESSLIST p";
  const privileges = await readPrivileges(session, connection.database);
  const [running = [], idle = [], open = []] = await session.queryAll([
    `SELECT ${columns}, p.TIME FROM ${processes} WHERE ${here} AND ${others} AND p.COMMAND <> 'Sleep' ORDER BY p.TIME DESC LIMIT ${shown}`,
    `SELECT ${columns}, p.TIME FROM ${processes} WHERE ${here} AND ${others} AND p.COMMAND = 'Sleep' ORDER BY p.TIME DESC LIMIT ${shown}`,
    ...(privileges.hasGlobally("PROCESS")
      ? [
          `SELECT ${columns}, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) FROM information_schema.INNODB_TRX t
             JOIN ${processes} ON p.ID = t.trx_mysql_thread_id WHERE ${others}
             ORDER BY IFNULL(${here}, 0) DESC, t.trx_started LIMIT ${shown}`,
        ]
      : []),
  ]);
  const as = (rows: readonly string[][], doing: (seconds: string) => string): Blocker[] =>
    rows.map(([id, user, host, seconds]) => ({
      id: Number(id),
      client: `${user}@${host}`,
      doing: doing(seconds ?? "0"),
    }));
  const found = [
    as(open, (seconds) => `has had a transaction open for ${seconds} s`),
    as(running, (seconds) => `has been running a statement for ${seconds} s`),
    as(idle, (seconds) => `has been idle for ${seconds} s, perhaps with tables locked`),
  ];
  return found.find((blockers) => blockers.length > 0) ?? [];
}

/** "connection 42 of shop@10.0.0.7:51234 has had a transaction open for 37 s". */
export function describeBlockers(blockers: readonly Blocker[]): string {
  return blockers.map(({ id, client, doing }) => `connection ${id} of ${client} ${doing}`).join("; ");
}

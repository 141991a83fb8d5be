import { HoldfastError } from "../../base/index.ts";
import type { SourceDescription } from "../../component/index.ts";
import { runClientTool } from "../client-tool/client-tool.ts";
import type { SequenceToDump, ServerFacts, TableToDump } from "./postgresql-catalog.ts";
import type { PostgresqlConnection } from "./postgresql-connection.ts";
import type { DumpTool } from "./postgresql-dump.ts";
import { quoteIdentifier, quoteLiteral } from "./postgresql-quoting.ts";
import type { PostgresqlSession } from "./postgresql-session.ts";

const oldestMajor = 11;

/**
 * Checks that the server is 11 or newer and pg_dump not older than the server.
 * @throws HoldfastError SERVICE_UNSUPPORTED, TOOL_MISSING
 */
export async function checkVersions(connection: PostgresqlConnection, server: ServerFacts): Promise<DumpTool> {
  const serverMajor = Math.floor(server.versionNumber / 10_000);
  if (serverMajor < oldestMajor) {
    throw new HoldfastError(
      "SERVICE_UNSUPPORTED",
      `PostgreSQL ${server.version} at ${connection.address.host} is too old: version ${oldestMajor} or newer is needed.`,
      { facts: { version: server.version }, remedy: "Upgrade the server." },
    );
  }
  const options = { ...connection.toolOptions(), timeoutMs: 30_000 };
  const [said, help] = await Promise.all(
    ["--version", "--help"].map((question) => runClientTool("pg_dump", [question], options)),
  );
  // "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
  const toolMajor = Number(/\) (\d+)/.exec(said ?? "")?.[1] ?? Number.NaN);
  if (!(toolMajor >= serverMajor)) {
    throw new HoldfastError(
      "TOOL_MISSING",
      `pg_dump is of version ${toolMajor}, the server ${connection.label} of version ${serverMajor}: pg_dump must not be older.`,
      {
        facts: { toolMajor, serverMajor },
        remedy: `Install the PostgreSQL client programs of version ${serverMajor} or newer, or set the service's exec prefix to where they are.`,
      },
    );
  }
  return { knowsRestrictKey: help?.includes("--restrict-key") === true };
}

/**
 * Checks that all rows of all tables, and the sequences, can be read.
 * @throws HoldfastError SERVICE_PERMISSION_MISSING with the GRANT to run
 */
export function checkReadable(
  connection: PostgresqlConnection,
  server: ServerFacts,
  tables: readonly TableToDump[],
  sequences: readonly SequenceToDump[],
): void {
  const user = quoteIdentifier(connection.address.user);
  const name = ({ schema, name: own }: { schema: string; name: string }): string => `${schema}.${own}`;
  const hidden = [...tables, ...sequences].filter(({ readable }) => !readable).map(name);
  if (hidden.length > 0) {
    const grant =
      server.versionNumber >= 140_000
        ? `GRANT pg_read_all_data TO ${user};`
        : `GRANT USAGE ON SCHEMA ... TO ${user}; GRANT SELECT ON ALL TABLES IN SCHEMA ... TO ${user}; GRANT SELECT ON ALL SEQUENCES IN SCHEMA ... TO ${user};`;
    throw new HoldfastError(
      "SERVICE_PERMISSION_MISSING",
      `The user ${user} may not read ${hidden.length} of the tables and sequences of PostgreSQL database ` +
        `${connection.label}: ${hidden.slice(0, 5).join(", ")}${hidden.length > 5 ? ", ..." : ""}.`,
      { facts: { hidden: hidden.length }, remedy: `As a superuser: ${grant}` },
    );
  }
  const filtered = tables.filter((table) => table.filtered).map(name);
  if (filtered.length > 0) {
    throw new HoldfastError(
      "SERVICE_PERMISSION_MISSING",
      `Row-level security hides rows from the user ${user} in ${filtered.slice(0, 5).join(", ")} of ${connection.label}.`,
      { facts: { filtered: filtered.length }, remedy: `As a superuser: ALTER ROLE ${user} BYPASSRLS;` },
    );
  }
}

/**
 * Checks that a restore can be staged and swapped before a byte is loaded.
 * @throws HoldfastError SERVICE_UNSUPPORTED, SERVICE_PERMISSION_MISSING
 */
export async function checkMayStage(
  maintenance: PostgresqlSession,
  connection: PostgresqlConnection,
  liveExists: boolean,
  description: SourceDescription,
): Promise<void> {
  const database = quoteLiteral(connection.address.database);
  const [row] = await maintenance.rows<{
    version: number;
    superuser: boolean;
    createdb: boolean;
    owner: boolean;
    subscriptions: number;
  }>(`
    SELECT current_setting('server_version_num')::int AS version, r.rolsuper AS superuser, r.rolcreatedb AS createdb,
           coalesce((SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE') FROM pg_catalog.pg_database d
                      WHERE d.datname = ${database}), false) AS owner,
           (SELECT count(*) FROM pg_catalog.pg_stat_subscription s JOIN pg_catalog.pg_stat_activity a USING (pid)
             WHERE a.datname = ${database}) AS subscriptions
      FROM pg_catalog.pg_roles r WHERE r.rolname = current_user`);
  if (row === undefined) throw new TypeError("pg_roles has no row of the current user.");
  const user = quoteIdentifier(connection.address.user);
  const was = description.facts["serverVersionNumber"];
  if (typeof was === "number" && Math.floor(row.version / 10_000) < Math.floor(was / 10_000)) {
    throw new HoldfastError(
      "SERVICE_UNSUPPORTED",
      `The backup is of PostgreSQL ${Math.floor(was / 10_000)}, the server ${connection.label} of the older version ${Math.floor(row.version / 10_000)}.`,
      {
        facts: { backup: was, server: row.version },
        remedy: "Restore to a server of the backup's version or a newer one.",
      },
    );
  }
  if (!row.superuser && !row.createdb) {
    throw new HoldfastError(
      "SERVICE_PERMISSION_MISSING",
      `The user ${user} may not create databases on the PostgreSQL server of ${connection.label}, which a restore needs.`,
      { remedy: `As a superuser: ALTER ROLE ${user} CREATEDB;` },
    );
  }
  if (!row.superuser && liveExists && !row.owner) {
    throw new HoldfastError(
      "SERVICE_PERMISSION_MISSING",
      `The user ${user} does not own PostgreSQL database ${connection.label}, so a restore could not replace it.`,
      { remedy: `As a superuser: ALTER DATABASE ${quoteIdentifier(connection.address.database)} OWNER TO ${user};` },
    );
  }
  if (row.subscriptions > 0) {
    throw new HoldfastError(
      "SERVICE_UNSUPPORTED",
      `PostgreSQL database ${connection.label} receives logical replication; a database with subscriptions cannot be dropped.`,
      { remedy: "Drop the subscriptions, restore, and create them again." },
    );
  }
}

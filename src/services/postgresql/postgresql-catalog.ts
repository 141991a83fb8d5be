import { qualifiedName, quoteIdentifier } from "./postgresql-quoting.ts";
import type { PostgresqlSession } from "./postgresql-session.ts";

/** A table whose rows a backup holds: ordinary tables and partitions, and what extensions declare as configuration. */
export interface TableToDump {
  readonly oid: number;
  /** Names the table's storage: TRUNCATE and rewriting ALTERs give it another. */
  readonly fileNode: number;
  readonly schema: string;
  readonly name: string;
  /** Columns in order, without generated ones; null if there is none but generated ones, or none at all. */
  readonly columns: readonly string[] | null;
  /** For an extension's configuration table: the WHERE clause of its own rows, "" for all; null for other tables. */
  readonly condition: string | null;
  readonly readable: boolean;
  /** Row-level security would hide rows from this user. */
  readonly filtered: boolean;
}

export interface SequenceToDump {
  readonly schema: string;
  readonly name: string;
  readonly readable: boolean;
}

export interface ServerFacts {
  /** server_version_num: 150018. */
  readonly versionNumber: number;
  /** "15.18 (Debian 15.18-0+deb12u1)" */
  readonly version: string;
  readonly superuser: boolean;
  readonly mayCheckpoint: boolean;
  readonly largeObjects: boolean;
}

export async function readServerFacts(session: PostgresqlSession): Promise<ServerFacts> {
  const [basic] = await session.rows<{ number: number; version: string; superuser: boolean; objects: boolean }>(`
    SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
           (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser,
           EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata) AS objects`);
  if (basic === undefined) throw new TypeError("A SELECT without FROM gives one row.");
  const [checkpoint] = await session.rows<{ granted: boolean }>(
    // The role came with version 15; a name that does not exist would be an error.
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pg_checkpoint'
                    AND pg_catalog.pg_has_role(current_user, oid, 'USAGE')) AS granted`,
  );
  return {
    versionNumber: basic.number,
    version: basic.version,
    superuser: basic.superuser,
    mayCheckpoint: basic.superuser || checkpoint?.granted === true,
    largeObjects: basic.objects,
  };
}

/** Members of an extension are made by CREATE EXTENSION; only its configuration tables have data of the user's. */
const ownOrConfiguration = `
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
  LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  LEFT JOIN LATERAL (SELECT pg_catalog.array_position(e.extconfig, c.oid) AS at) config ON true
  WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    AND c.relpersistence <> 't' AND (d.objid IS NULL OR config.at IS NOT NULL)`;

/** The tables whose rows are backed up, by schema and name in byte order. */
export function listTables(session: PostgresqlSession, versionNumber: number): Promise<TableToDump[]> {
  const stored = versionNumber >= 120_000 ? "AND a.attgenerated = ''" : "";
  return session.rows<TableToDump>(`
    SELECT c.oid::bigint AS oid, c.relfilenode::bigint AS "fileNode", n.nspname AS schema, c.relname AS name,
           (SELECT pg_catalog.json_agg(a.attname ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ${stored}) AS columns,
           CASE WHEN d.objid IS NOT NULL THEN coalesce(e.extcondition[config.at], '') END AS condition,
           pg_catalog.has_schema_privilege(n.oid, 'USAGE')
             AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
           pg_catalog.row_security_active(c.oid) AS filtered
    ${ownOrConfiguration} AND c.relkind = 'r'
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`);
}

/** A table that was truncated, rewritten or dropped since the session's snapshot, if there is one. */
export async function findChangedTable(
  session: PostgresqlSession,
): Promise<{ readonly schema: string; readonly name: string } | undefined> {
  const [row] = await session.rows<{ schema: string; name: string }>(`
    SELECT n.nspname AS schema, c.relname AS name ${ownOrConfiguration} AND c.relkind = 'r'
      AND pg_catalog.pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode LIMIT 1`);
  return row;
}

/** The sequences whose positions are backed up, those of identity columns included. */
export function listSequences(session: PostgresqlSession): Promise<SequenceToDump[]> {
  return session.rows<SequenceToDump>(`
    SELECT n.nspname AS schema, c.relname AS name,
           pg_catalog.has_schema_privilege(n.oid, 'USAGE')
             AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT') AS readable
    ${ownOrConfiguration} AND c.relkind = 'S'
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`);
}

/** The COPY commands that write and read a table's rows. */
export function copyCommands(table: TableToDump): { readonly out: string; readonly in: string } {
  const name = qualifiedName(table.schema, table.name);
  const columns = table.columns?.map(quoteIdentifier).join(", ");
  const target = columns === undefined ? name : `${name} (${columns})`;
  const condition = table.condition ?? "";
  const origin = condition === "" ? target : `(SELECT ${columns ?? ""} FROM ONLY ${name} ${condition})`;
  return { out: `COPY ${origin} TO STDOUT`, in: `COPY ${target} FROM stdin;` };
}

import { quoteIdentifier, quoteLiteral } from "./postgresql-quoting.ts";
import type { PostgresqlSession } from "./postgresql-session.ts";

/** What belongs to a database but is kept by the server as a whole, and so is in no dump of the database. */

interface RoleRow {
  readonly oid: number;
  readonly name: string;
  readonly attributes: string;
  readonly password: string | null;
  readonly settings: readonly string[];
  readonly memberships: readonly { readonly role: string; readonly admin: boolean }[];
  readonly parents: readonly number[];
}

interface DatabaseRow {
  readonly owner: string;
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
  readonly provider: string;
  readonly locale: string | null;
  readonly connectionLimit: number;
  readonly comment: string | null;
  readonly grants:
    readonly { readonly grantee: string; readonly privilege: string; readonly grantable: boolean }[] | null;
  readonly settings: readonly { readonly role: string | null; readonly settings: readonly string[] }[];
}

/** Settings whose stored value is a list of quoted names already, as in `dumputils.c` of PostgreSQL. */
const listSettings = new Set([
  "local_preload_libraries",
  "search_path",
  "session_preload_libraries",
  "shared_preload_libraries",
  "temp_tablespaces",
  "unix_socket_directories",
]);

/**
 * SQL that makes the roles that the database's objects refer to (owners, grantees, those they are members of), each
 * only where it is missing: an existing role is never altered. Passwords (as hashes) are there if the user may read them.
 */
export async function rolesScript(session: PostgresqlSession, superuser: boolean): Promise<string> {
  const rows = await session.rows<RoleRow>(`
    WITH RECURSIVE named AS (
      SELECT d.refobjid AS oid FROM pg_catalog.pg_shdepend d
       WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass
         AND (d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
              OR d.dbid = 0 AND d.classid = 'pg_catalog.pg_database'::regclass
                 AND d.objid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
      UNION SELECT setrole FROM pg_catalog.pg_db_role_setting
       WHERE setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND setrole <> 0
      UNION SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database()
      UNION SELECT nspowner FROM pg_catalog.pg_namespace WHERE oid >= 16384
      UNION SELECT relowner FROM pg_catalog.pg_class WHERE oid >= 16384 AND relpersistence <> 't'
      UNION SELECT proowner FROM pg_catalog.pg_proc WHERE oid >= 16384
      UNION SELECT typowner FROM pg_catalog.pg_type WHERE oid >= 16384
    ), wanted AS (
      SELECT oid FROM named
      UNION SELECT m.roleid FROM wanted JOIN pg_catalog.pg_auth_members m ON m.member = wanted.oid
    )
    SELECT r.oid::bigint AS oid, r.rolname AS name,
           concat_ws(' ', CASE WHEN r.rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END,
             CASE WHEN r.rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END,
             CASE WHEN r.rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END,
             CASE WHEN r.rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END,
             CASE WHEN r.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END,
             CASE WHEN r.rolreplication THEN 'REPLICATION' END, CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
             CASE WHEN r.rolconnlimit <> -1 THEN 'CONNECTION LIMIT ' || r.rolconnlimit END,
             CASE WHEN r.rolvaliduntil IS NOT NULL THEN
               'VALID UNTIL ' || quote_literal(to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
               || '+00') END) AS attributes,
           ${superuser ? "(SELECT rolpassword FROM pg_catalog.pg_authid a WHERE a.oid = r.oid)" : "NULL"} AS password,
           coalesce(array_to_json(r.rolconfig), '[]') AS settings,
           coalesce((SELECT json_agg(json_build_object('role', m.role, 'admin', m.admin) ORDER BY m.role COLLATE "C")
             FROM (SELECT p.rolname::text AS role, bool_or(a.admin_option) AS admin
                     FROM pg_catalog.pg_auth_members a JOIN pg_catalog.pg_roles p ON p.oid = a.roleid
                    WHERE a.member = r.oid GROUP BY p.rolname) m), '[]') AS memberships,
           coalesce((SELECT json_agg(a.roleid::bigint) FROM pg_catalog.pg_auth_members a WHERE a.member = r.oid), '[]')
             AS parents
      FROM pg_catalog.pg_roles r WHERE r.oid IN (SELECT oid FROM wanted) AND r.rolname !~ '^pg_'
     ORDER BY r.rolname COLLATE "C"`);
  return parentsFirst(rows).map(roleBlock).join("");
}

function parentsFirst(rows: readonly RoleRow[]): RoleRow[] {
  const byOid = new Map(rows.map((row) => [row.oid, row]));
  const ordered = new Set<RoleRow>();
  const place = (row: RoleRow): void => {
    if (ordered.has(row)) return;
    // Memberships have no cycles: the server refuses them.
    for (const parent of row.parents) {
      const found = byOid.get(parent);
      if (found !== undefined) place(found);
    }
    ordered.add(row);
  };
  rows.forEach(place);
  return [...ordered];
}

function roleBlock(row: RoleRow): string {
  const name = quoteIdentifier(row.name);
  const password = row.password === null ? "" : ` PASSWORD ${quoteLiteral(row.password)}`;
  const commands = [
    `CREATE ROLE ${name} WITH ${row.attributes}${password};`,
    ...row.memberships.map(
      ({ role, admin }) => `GRANT ${quoteIdentifier(role)} TO ${name}${admin ? " WITH ADMIN OPTION" : ""};`,
    ),
    ...row.settings.map((setting) => `ALTER ROLE ${name} SET ${settingClause(setting)};`),
  ];
  const body = [
    "BEGIN",
    `  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${quoteLiteral(row.name)}) THEN RETURN; END IF;`,
    ...commands.map((command) => `  ${command}`),
    "END",
  ].join("\n");
  return `DO ${quoteLiteral(body)};\n`;
}

/**
 * SQL for a maintenance session that makes the database, empty, under the name in psql's variable `database`:
 * encoding, locale, owner, settings, privileges, comment.
 */
export async function databaseScript(session: PostgresqlSession, versionNumber: number): Promise<string> {
  const provider = versionNumber >= 150_000 ? "d.datlocprovider" : "'c'";
  const locale = versionNumber >= 170_000 ? "d.datlocale" : versionNumber >= 150_000 ? "d.daticulocale" : "NULL::text";
  const [row] = await session.rows<DatabaseRow>(`
    SELECT pg_catalog.pg_get_userbyid(d.datdba) AS owner, pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
           d.datcollate AS collate, d.datctype AS ctype, ${provider} AS provider, ${locale} AS locale,
           d.datconnlimit AS "connectionLimit", pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
           (SELECT json_agg(json_build_object('grantee', g.grantee, 'privilege', g.privilege, 'grantable', g.grantable)
                            ORDER BY g.grantee COLLATE "C", g.privilege COLLATE "C")
              FROM (SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee) END::text AS grantee,
                           a.privilege_type AS privilege, bool_or(a.is_grantable) AS grantable
                      FROM pg_catalog.aclexplode(d.datacl) a GROUP BY 1, 2) g) AS grants,
           coalesce((SELECT json_agg(json_build_object('role', r.rolname, 'settings',
                                       array_to_json(s.setconfig))
                            ORDER BY r.rolname COLLATE "C" NULLS FIRST)
              FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
             WHERE s.setdatabase = d.oid), '[]') AS settings
      FROM pg_catalog.pg_database d WHERE d.datname = current_database()`);
  if (row === undefined) throw new TypeError("pg_database has no row of the current database.");
  const lines = [
    `CREATE DATABASE :"database" WITH TEMPLATE template0 OWNER ${quoteIdentifier(row.owner)}` +
      ` ENCODING ${quoteLiteral(row.encoding)}${localeOptions(row)} CONNECTION LIMIT ${Math.max(row.connectionLimit, -1)};`,
  ];
  for (const { role, settings } of row.settings) {
    const whom = role === null ? `DATABASE :"database"` : `ROLE ${quoteIdentifier(role)} IN DATABASE :"database"`;
    for (const setting of settings) lines.push(`ALTER ${whom} SET ${settingClause(setting)};`);
  }
  if (row.grants !== null) {
    lines.push(`REVOKE ALL ON DATABASE :"database" FROM PUBLIC, ${quoteIdentifier(row.owner)};`);
    for (const { grantee, privilege, grantable } of row.grants) {
      const whom = grantee === "" ? "PUBLIC" : quoteIdentifier(grantee);
      lines.push(`GRANT ${privilege} ON DATABASE :"database" TO ${whom}${grantable ? " WITH GRANT OPTION" : ""};`);
    }
  }
  if (row.comment !== null) lines.push(`COMMENT ON DATABASE :"database" IS ${quoteLiteral(row.comment)};`);
  return `${lines.join("\n")}\n`;
}

function localeOptions({ provider, collate, ctype, locale }: DatabaseRow): string {
  const libc = ` LC_COLLATE ${quoteLiteral(collate)} LC_CTYPE ${quoteLiteral(ctype)}`;
  if (provider === "i") return `${libc} LOCALE_PROVIDER icu ICU_LOCALE ${quoteLiteral(locale ?? "")}`;
  if (provider === "b") return `${libc} LOCALE_PROVIDER builtin BUILTIN_LOCALE ${quoteLiteral(locale ?? "")}`;
  return libc;
}

/** "name TO value" of a stored "name=value". */
function settingClause(setting: string): string {
  const at = setting.indexOf("=");
  const name = setting.slice(0, at);
  const value = setting.slice(at + 1);
  const isList = listSettings.has(name.toLowerCase()) && value !== "" && value !== '""';
  const identifier = name.split(".").map(quoteIdentifier).join(".");
  return `${identifier} TO ${isList ? value : quoteLiteral(value === '""' ? "" : value)}`;
}

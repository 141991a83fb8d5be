import { HoldfastError } from "../../base/index.ts";
import { connectionPlace, type MariadbConnection } from "./mariadb-config.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { quoteAccount, quoteGrantPattern } from "./sql-text.ts";

/** What kind of server it is. */
export interface ServerVersion {
  readonly product: "MariaDB" | "MySQL";
  /** "10.11.19". */
  readonly version: string;
}

/** @throws HoldfastError SERVICE_UNSUPPORTED before MariaDB 10.5 and MySQL 8.0 */
export async function serverVersion(session: MariadbSession, connection: MariadbConnection): Promise<ServerVersion> {
  const text = (await session.value("SELECT VERSION()")) ?? "";
  const product = text.includes("MariaDB") ? "MariaDB" : "MySQL";
  const match = /^(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)/.exec(text);
  const major = Number(match?.[1] ?? 0);
  const minor = Number(match?.[2] ?? 0);
  const version = match === null ? text : `${match[1]}.${match[2]}.${match[3]}`;
  const oldest = product === "MariaDB" ? 10.05 : 8;
  if (major + minor / 100 < oldest) {
    throw new HoldfastError(
      "SERVICE_UNSUPPORTED",
      `${product} ${version} at ${connectionPlace(connection)} is too old: MariaDB 10.5 and MySQL 8.0 are the oldest.`,
      { facts: { product, version }, remedy: "Upgrade the server, or back it up with a service of type command." },
    );
  }
  return { product, version };
}

/** The rights of the session's user, upper case: everywhere, and on one schema. */
export interface Privileges {
  /** "shop@127.0.0.1", as the server matched it. */
  readonly account: string;
  /** True if the user holds `privilege` globally or on the whole of the schema. */
  has(privilege: string): boolean;
  /** True if the user holds `privilege` on everything. */
  hasGlobally(privilege: string): boolean;
  /** The same for one table of another schema, such as mysql.proc. */
  hasOnTable(privilege: string, schema: string, table: string): boolean;
}

export async function readPrivileges(session: MariadbSession, schema: string): Promise<Privileges> {
  const account = (await session.value("SELECT CURRENT_USER()")) ?? "";
  const roles = (await session.value("SELECT IFNULL(CURRENT_ROLE(), 'NONE')")) ?? "NONE";
  const mysqlRoles = roles.startsWith("`");
  const grants = await session.query(mysqlRoles ? `SHOW GRANTS FOR CURRENT_USER() USING ${roles}` : "SHOW GRANTS");
  const held = grants.flatMap(([line]) => parseGrant(line ?? ""));
  const all = (privileges: ReadonlySet<string>, wanted: string): boolean =>
    privileges.has(wanted) || privileges.has("ALL PRIVILEGES") || privileges.has("ALL");
  return {
    account,
    has: (wanted) =>
      held.some(
        ({ privileges, on }) =>
          (on === "*.*" || (on.endsWith(".*") && schemaPatternMatches(on.slice(0, -2), schema))) &&
          all(privileges, wanted),
      ),
    hasGlobally: (wanted) => held.some(({ privileges, on }) => on === "*.*" && all(privileges, wanted)),
    hasOnTable: (wanted, otherSchema, table) =>
      held.some(
        ({ privileges, on }) =>
          (on === "*.*" || on === `\`${otherSchema}\`.*` || on === `\`${otherSchema}\`.\`${table}\``) &&
          all(privileges, wanted),
      ),
  };
}

/** One line of SHOW GRANTS; rights on single columns and roles count as none. */
function parseGrant(line: string): { privileges: ReadonlySet<string>; on: string }[] {
  const match = /^GRANT (.+?) ON (?:TABLE )?(\*\.\*|`(?:[^`]|``)+`\.(?:\*|`(?:[^`]|``)+`)) TO /.exec(line);
  if (match === null) return [];
  const privileges = new Set((match[1] ?? "").split(", ").map((privilege) => privilege.trim().toUpperCase()));
  return [{ privileges, on: match[2] ?? "" }];
}

/** Whether the quoted pattern of a GRANT, with "_" and "%" as wildcards, means this schema. */
function schemaPatternMatches(quoted: string, schema: string): boolean {
  const pattern = quoted.slice(1, -1).replaceAll("``", "`");
  const expression = pattern.replaceAll(
    /\\([\\_%])|([_%])|([^\w])/g,
    (_all, literal: string, wild: string, other: string) =>
      literal !== undefined
        ? `\\x${literal.charCodeAt(0).toString(16)}`
        : wild === "_"
          ? "."
          : wild === "%"
            ? ".*"
            : `\\${other}`,
  );
  return new RegExp(`^${expression}$`, "su").test(schema);
}

/** @throws HoldfastError SERVICE_PERMISSION_MISSING naming the GRANT, if one of the rights is missing on the schema */
export function requirePrivileges(
  privileges: Privileges,
  wanted: readonly string[],
  connection: MariadbConnection,
  purpose: string,
): void {
  const missing = wanted.filter((privilege) => !privileges.has(privilege));
  if (missing.length === 0) return;
  throw permissionMissing(
    privileges.account,
    missing,
    `${quoteGrantPattern(connection.database)}.*`,
    connection,
    purpose,
  );
}

export function permissionMissing(
  account: string,
  missing: readonly string[],
  on: string,
  connection: MariadbConnection,
  purpose: string,
): HoldfastError {
  return new HoldfastError(
    "SERVICE_PERMISSION_MISSING",
    `MariaDB at ${connectionPlace(connection)}: the user ${account} may not ${purpose} (needs ${missing.join(", ")}).`,
    {
      facts: { account, missing: missing.join(", ") },
      remedy: `Grant it:  GRANT ${missing.join(", ")} ON ${on} TO ${quoteAccount(account)};`,
    },
  );
}

/** Whether there is such a schema. */
export async function schemaExists(session: MariadbSession, quotedName: string): Promise<boolean> {
  const rows = await session.query(`SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quotedName}`);
  return rows.length > 0;
}

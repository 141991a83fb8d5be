import { HoldfastError } from "../../base/index.ts";
import type { Warning } from "../../component/index.ts";
import { connectionPlace, type MariadbConnection } from "./mariadb-config.ts";
import { type TableInfo, tableNature } from "./mariadb-tables.ts";
import { quoteName } from "./sql-text.ts";

/** More than this of rows that no snapshot fixes is not copied inside a hold. */
const lockedBytesLimit = 256 * 1024 * 1024;

/** Tables whose rows are fixed by a lock. */
export function lockedTables(tables: readonly TableInfo[]): TableInfo[] {
  return tables.filter((table) => table.type !== "sequence" && tableNature(table) === "locked");
}

/** Whether the table is the same one, unaltered. */
export function sameDefinition(before: TableInfo | undefined, now: TableInfo): boolean {
  return before?.createdAt === now.createdAt && before.engine === now.engine && before.type === now.type;
}

/** Names of the tables among them, without the sequences. */
export function tableNames(tables: readonly TableInfo[]): string[] {
  return tables.filter(({ type }) => type !== "sequence").map(({ name }) => name);
}

/** "orders (InnoDB), carts (MyISAM), users (InnoDB) and 4 more". */
export function describeTables(tables: readonly TableInfo[]): string {
  const names = tables.slice(0, 3).map(({ name, engine }) => (engine === "" ? name : `${name} (${engine})`));
  return `${names.join(", ")}${tables.length > 3 ? ` and ${tables.length - 3} more` : ""}`;
}

/** @throws HoldfastError SERVICE_UNSUPPORTED if the server cannot open one of them */
export function refuseUnreadable(tables: readonly TableInfo[], connection: MariadbConnection): void {
  const broken = tables.filter(({ engine }) => engine === "");
  if (broken.length === 0) return;
  throw new HoldfastError(
    "SERVICE_UNSUPPORTED",
    `MariaDB at ${connectionPlace(connection)}: the server cannot open ${describeTables(broken)}.`,
    { remedy: "Look into the server's error log; CHECK TABLE and REPAIR TABLE may help." },
  );
}

/** @throws HoldfastError SERVICE_UNSUPPORTED if they hold more than 256 MiB */
export function refuseLargeLocked(tables: readonly TableInfo[]): void {
  const bytes = tables.reduce((sum, { dataBytes }) => sum + dataBytes, 0);
  if (bytes <= lockedBytesLimit) return;
  throw new HoldfastError(
    "SERVICE_UNSUPPORTED",
    `${describeTables(tables)} take no part in snapshots and are too large (${bytes} bytes) to be copied while requests wait.`,
    {
      facts: { bytes, limitBytes: lockedBytesLimit, tables: tables.length },
      remedy: `Convert them: ALTER TABLE ${quoteName(tables[0]?.name ?? "")} ENGINE=InnoDB;`,
    },
  );
}

/** What of the table a backup does not hold. */
export function warningsOf(table: TableInfo): Warning[] {
  const warnings: Warning[] = [];
  if (table.type !== "sequence" && tableNature(table) === "remote") {
    warnings.push({
      kind: "table-without-rows",
      message: `The rows of table ${table.name} are kept elsewhere by its engine ${table.engine}: only its definition is stored.`,
      facts: { table: table.name, engine: table.engine },
    });
  }
  if (table.type === "system versioned") {
    warnings.push({
      kind: "table-history",
      message: `Of the system-versioned table ${table.name} only the current rows are stored, not their history.`,
      facts: { table: table.name },
    });
  }
  return warnings;
}

export function changedSince(what: string, cause?: unknown): HoldfastError {
  return new HoldfastError("FREEZE_FAILED", `${what} was altered or dropped while the backup was being taken.`, {
    facts: { object: what },
    remedy: "Take the backup again when the database's structure is not being changed.",
    cause,
  });
}

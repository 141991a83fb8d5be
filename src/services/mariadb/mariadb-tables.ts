import type { MariadbSession } from "./mariadb-session.ts";
import { quoteName, quoteText } from "./sql-text.ts";

/** A base table or sequence of a schema. */
export interface TableInfo {
  readonly name: string;
  readonly type: "table" | "system versioned" | "sequence";
  /** "InnoDB", "MyISAM", ...; "" if the server cannot open the table. */
  readonly engine: string;
  /** Changes with every change of the definition. */
  readonly createdAt: string;
  /** The next number; undefined without an AUTO_INCREMENT column. */
  readonly autoIncrement: string | undefined;
  readonly dataBytes: number;
}

/** Tables whose rows are elsewhere: only their definition is stored. */
const remoteEngines = new Set(["MRG_MYISAM", "FEDERATED", "CONNECT", "SPIDER", "S3", "BLACKHOLE", "OQGRAPH", "SPHINX"]);
const snapshotEngines = new Set(["INNODB", "ROCKSDB"]);

/** How the table's rows are fixed: by the snapshot, by a lock, or not at all because they are elsewhere. */
export function tableNature(table: TableInfo): "snapshot" | "locked" | "remote" {
  const engine = table.engine.toUpperCase();
  return snapshotEngines.has(engine) ? "snapshot" : remoteEngines.has(engine) ? "remote" : "locked";
}

export function listTablesStatement(schema: string): string {
  return `SELECT TABLE_NAME, TABLE_TYPE, IFNULL(ENGINE, ''), IFNULL(CREATE_TIME, ''), IFNULL(AUTO_INCREMENT, ''), IFNULL(DATA_LENGTH, 0)
    FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteText(schema)}
    AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') ORDER BY BINARY TABLE_NAME`;
}

export function tablesFromRows(rows: readonly (readonly string[])[]): TableInfo[] {
  return rows.map(([name, type, engine, createdAt, autoIncrement, dataBytes]) => ({
    name: name ?? "",
    type: type === "SEQUENCE" ? "sequence" : type === "SYSTEM VERSIONED" ? "system versioned" : "table",
    engine: engine ?? "",
    createdAt: createdAt ?? "",
    autoIncrement: autoIncrement === "" ? undefined : autoIncrement,
    dataBytes: Number(dataBytes),
  }));
}

/** Names of base tables and sequences only: cheap, because the server need not open the tables for it. */
export function listTableNamesStatement(schema: string): string {
  return `SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteText(schema)}
    AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') ORDER BY BINARY TABLE_NAME`;
}

export async function listTables(session: MariadbSession, schema: string): Promise<TableInfo[]> {
  return tablesFromRows(await session.query(listTablesStatement(schema)));
}

/** SHOW CREATE TABLE of each, without the AUTO_INCREMENT counter, which is no part of the definition. By name. */
export async function readDefinitions(
  session: MariadbSession,
  schema: string,
  names: readonly string[],
): Promise<Map<string, string>> {
  const answers = await session.queryAll(
    names.map((name) => `SHOW CREATE TABLE ${quoteName(schema)}.${quoteName(name)}`),
  );
  return new Map(names.map((name, at) => [name, withoutCounter(answers[at]?.[0]?.[1] ?? "")]));
}

function splitOptions(definition: string): [head: string, options: string] {
  const at = definition.lastIndexOf("\n) ENGINE=");
  return at === -1 ? [definition, ""] : [definition.slice(0, at), definition.slice(at)];
}

function withoutCounter(definition: string): string {
  const [head, options] = splitOptions(definition);
  return head + options.replace(/^(\n\) ENGINE=\S+) AUTO_INCREMENT=\d+/, "$1");
}

/** The definition with the counter set. */
export function withCounter(definition: string, autoIncrement: string | undefined): string {
  if (autoIncrement === undefined || autoIncrement === "1" || autoIncrement === "0") return definition;
  const [head, options] = splitOptions(definition);
  return head + options.replace(/^(\n\) ENGINE=\S+)/, `$1 AUTO_INCREMENT=${autoIncrement}`);
}

export interface ColumnInfo {
  readonly name: string;
  /** DATA_TYPE in lower case: "varchar". */
  readonly type: string;
  /** "utf8mb4", or "" if the column holds no text. */
  readonly characterSet: string;
  readonly generated: boolean;
}

/** The columns in order, and the names of those of the primary key. */
export async function readColumns(
  session: MariadbSession,
  schema: string,
  table: string,
): Promise<{ columns: ColumnInfo[]; primaryKey: string[] }> {
  const where = `TABLE_SCHEMA = ${quoteText(schema)} AND TABLE_NAME = ${quoteText(table)}`;
  const [columns = [], key = []] = await session.queryAll([
    `SELECT COLUMN_NAME, LOWER(DATA_TYPE), IFNULL(CHARACTER_SET_NAME, ''), EXTRA FROM information_schema.COLUMNS
       WHERE ${where} ORDER BY ORDINAL_POSITION`,
    `SELECT COLUMN_NAME FROM information_schema.STATISTICS WHERE ${where} AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX`,
  ]);
  return {
    columns: columns.map(([name, type, characterSet, extra]) => ({
      name: name ?? "",
      type: type ?? "",
      characterSet: characterSet ?? "",
      // MySQL's DEFAULT_GENERATED is a default, not a generated column.
      generated: /(^|\s)(VIRTUAL|STORED|PERSISTENT)\b/i.test(extra ?? ""),
    })),
    primaryKey: key.map(([name]) => name ?? ""),
  };
}

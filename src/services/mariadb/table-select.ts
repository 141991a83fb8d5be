import type { ColumnInfo } from "./mariadb-tables.ts";
import { quoteName } from "./sql-text.ts";

const plainNumbers = new Set([
  "tinyint",
  "smallint",
  "mediumint",
  "int",
  "bigint",
  "decimal",
  "double",
  "year",
  "numeric",
]);
const binaries = new Set(["binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"]);
const spatials = new Set([
  ...["geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"],
  ...["geometrycollection", "geomcollection"],
]);
/** Character sets of which every string survives the way through UTF-8 and back. */
const throughUtf8 = new Set(["utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"]);
/** Types whose values can be near max_allowed_packet, so that a function of one may not fit. */
const longTypes = new Set(["mediumblob", "longblob", "mediumtext", "longtext", "json"]);

export function hasLongColumns(columns: readonly ColumnInfo[]): boolean {
  return columns.some(({ type, generated }) => longTypes.has(type) && !generated);
}

/**
 * A SELECT whose lines, as the client prints them in batch mode, are rows of a VALUES list, each after a comma:
 * `,(1<tab>,'it''s'<tab>,NULL)`. The client's own escaping of NUL, tab, line break and backslash is that of SQL literals, so
 * that only quotes are doubled here. `chunkLength`, if given, cuts long values into literals that stand side by side
 * (which SQL joins), for values of which a function's result would be longer than max_allowed_packet.
 */
export function selectRows(
  quotedTable: string,
  columns: readonly ColumnInfo[],
  primaryKey: readonly string[],
  chunkLength?: { readonly maxValueBytes: number; readonly chunk: number },
): string {
  const stored = columns.filter(({ generated }) => !generated);
  const fields = stored.flatMap((column, at) =>
    valueExpressions(column, at === 0 ? ",(" : ",", at === stored.length - 1 ? ")" : "", chunkLength),
  );
  const order = primaryKey.length === 0 ? "" : ` ORDER BY ${primaryKey.map(quoteName).join(", ")}`;
  return `SELECT ${fields.length === 0 ? "',()'" : fields.join(", ")} FROM ${quotedTable}${order}`;
}

function valueExpressions(
  column: ColumnInfo,
  before: string,
  after: string,
  chunkLength: { readonly maxValueBytes: number; readonly chunk: number } | undefined,
): string[] {
  const name = quoteName(column.name);
  const nullText = `'${before}NULL${after}'`;
  const whole = (value: string): string[] => [`IF(${name} IS NULL, ${nullText}, ${value})`];
  const concat = (open: string, value: string, close: string): string =>
    `CONCAT('${before}${open}', ${value}, '${close}${after}')`;
  const { type } = column;
  if (plainNumbers.has(type)) return whole(concat("", name, ""));
  // The text form of FLOAT has six digits; as a double it has all.
  if (type === "float") return whole(concat("", `CAST(${name} AS DOUBLE)`, ""));
  if (type === "bit") return whole(concat("", `${name} + 0`, ""));
  if (spatials.has(type)) return whole(concat("X''", `HEX(${name})`, "''"));
  const isBinary = binaries.has(type) || column.characterSet === "binary";
  if (!isBinary && column.characterSet !== "" && !throughUtf8.has(column.characterSet)) {
    return whole(concat(`_${column.characterSet} X''`, `HEX(${name})`, "''"));
  }
  const open = isBinary ? "_binary ''" : "''";
  const doubled = (value: string): string => `REPLACE(${value}, '''', '''''')`;
  if (chunkLength === undefined || !longTypes.has(type)) return whole(concat(open, doubled(name), "''"));
  const count = Math.ceil(chunkLength.maxValueBytes / chunkLength.chunk);
  return Array.from({ length: count }, (_, at) => {
    const lead = at === 0 ? before + open : "''";
    const end = at === count - 1 ? after : "";
    const piece = doubled(`SUBSTRING(${name}, ${at * chunkLength.chunk + 1}, ${chunkLength.chunk})`);
    return `IF(${name} IS NULL, '${at === 0 ? `${before}NULL` : ""}${end}', CONCAT('${lead}', ${piece}, '''${end}'))`;
  });
}

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
  "geometry",
  "point",
  "linestring",
  "polygon",
  "multipoint",
  "multilinestring",
  "multipolygon",
  "geometrycollection",
  "geomcollection",
]);
/** Character sets of which every string survives the way through UTF-8 and back. */
const throughUtf8 = new Set(["utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"]);
/** Types whose values can be near max_allowed_packet, so that a function of one may not fit. */
const longTypes = new Set(["mediumblob", "longblob", "mediumtext", "longtext", "json"]);

export function hasLongColumns(columns: readonly ColumnInfo[]): boolean {
  return columns.some(({ type, generated }) => longTypes.has(type) && !generated);
}

/** How values are cut into literals that stand side by side, which SQL joins. */
export interface ValuePieces {
  readonly longestBytes: number;
  /** Characters of a piece of text, bytes of a piece of binary data. */
  readonly length: number;
}

/**
 * A SELECT whose rows, as the client prints them raw, are rows of a VALUES list, each after a comma, and then `rowMark`:
 * `,(1<tab>,'it\'s'<tab>,NULL)`. `pieces`, if given, cuts long values, for values of which a function's result would be
 * longer than max_allowed_packet.
 */
export function selectRows(
  quotedTable: string,
  columns: readonly ColumnInfo[],
  primaryKey: readonly string[],
  rowMark: string,
  pieces?: ValuePieces,
): string {
  const stored = columns.filter(({ generated }) => !generated);
  const fields = stored.flatMap((column, at) =>
    valueExpressions(column, at === 0 ? ",(" : ",", at === stored.length - 1 ? `)${rowMark}` : "", pieces),
  );
  const order = primaryKey.length === 0 ? "" : ` ORDER BY ${primaryKey.map(quoteName).join(", ")}`;
  return `SELECT ${fields.length === 0 ? `',()${rowMark}'` : fields.join(", ")} FROM ${quotedTable}${order}`;
}

function valueExpressions(
  column: ColumnInfo,
  before: string,
  after: string,
  pieces: ValuePieces | undefined,
): string[] {
  const name = quoteName(column.name);
  const { type } = column;
  const ifAny = (...parts: readonly string[]): string[] => [
    `IF(${name} IS NULL, '${before}NULL${after}', CONCAT('${before}', ${parts.join(", ")}, '${after}'))`,
  ];
  if (plainNumbers.has(type)) return ifAny(name);
  // The text form of FLOAT has six digits; as a double it has all.
  if (type === "float") return ifAny(`CAST(${name} AS DOUBLE)`);
  if (type === "bit") return ifAny(`${name} + 0`);
  if (spatials.has(type)) return ifAny(`'X'''`, `HEX(${name})`, `''''`);
  const isBinary = binaries.has(type) || column.characterSet === "binary";
  if (!isBinary && column.characterSet !== "" && !throughUtf8.has(column.characterSet)) {
    return ifAny(`'_${column.characterSet} X'''`, `HEX(${name})`, `''''`);
  }
  // QUOTE takes time in proportion to the length; REPLACE, in proportion to length times quotes.
  const introducer = isBinary ? "_binary " : "";
  if (pieces === undefined || !longTypes.has(type)) return ifAny(`'${introducer}'`, `QUOTE(${name})`);
  const count = Math.ceil(pieces.longestBytes / pieces.length);
  return Array.from({ length: count }, (_, at) => {
    const lead = at === 0 ? before : "";
    const end = at === count - 1 ? after : "";
    const piece = `QUOTE(SUBSTRING(${name}, ${at * pieces.length + 1}, ${pieces.length}))`;
    const nothing = `${lead}${at === 0 ? "NULL" : ""}${end}`;
    return `IF(${name} IS NULL, '${nothing}', CONCAT('${lead}${at === 0 ? introducer : ""}', ${piece}, '${end}'))`;
  });
}

import { crc32 } from "node:zlib";
import { HoldfastError } from "../../base/index.ts";
import type { MariadbSession } from "./mariadb-session.ts";
import { readColumns, type TableInfo, tableNature, withCounter } from "./mariadb-tables.ts";
import type { ServerVersion } from "./mariadb-server.ts";
import { withoutSequenceSchema } from "./sequence-defaults.ts";
import { quoteName } from "./sql-text.ts";
import { hasLongColumns, selectRows, type ValuePieces } from "./table-select.ts";

/** What is known of a table's dump when it has been read to its end. */
export interface TableDumpResult {
  readonly rows: number;
  /** Of the longest row as text: what the server that takes the restore needs as max_allowed_packet, roughly. */
  readonly longestRowBytes: number;
}

/** Rows are gathered into statements of about this many bytes; where one ends depends on the rows only, so that dumps of nearly equal tables share nearly all their chunks. */
const statementBytes = 256 * 1024;
const averageRowsMask = 0xff;

/**
 * The table as a script: settings, CREATE TABLE, INSERTs in the order of the primary key, and a last line that says how many rows
 * there were. `onEnd` is called when all of it has been taken. `session` is a raw
 * one that sees the rows; `control`, another one, answers what has to do with the definition.
 * @throws HoldfastError FREEZE_FAILED if a value could not be read whole
 */
export async function* dumpTable(
  session: MariadbSession,
  control: MariadbSession,
  server: ServerVersion,
  schema: string,
  table: TableInfo,
  definition: string,
  onEnd: (result: TableDumpResult) => void,
): AsyncGenerator<Uint8Array> {
  const { columns, primaryKey } = await readColumns(control, schema, table.name);
  // An ENUM may hold the value 0 from times without strict mode.
  const strict = columns.some(({ type }) => type === "enum") ? "" : "STRICT_ALL_TABLES,";
  yield Buffer.from(
    [
      `-- Holdfast table dump, format 1`,
      `SET NAMES utf8mb4;`,
      `SET SESSION time_zone = '+00:00', foreign_key_checks = 0, unique_checks = 0, sql_mode = '${strict}NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';`,
      ...(server.product === "MariaDB" ? ["SET SESSION check_constraint_checks = 0;"] : []),
      `${withoutSequenceSchema(withCounter(definition, table.autoIncrement), schema)};`,
      "",
    ].join("\n"),
  );
  const counted = { rows: 0, longestRowBytes: 0 };
  if (tableNature(table) !== "remote") {
    const quoted = `${quoteName(schema)}.${quoteName(table.name)}`;
    const names = columns.filter(({ generated }) => !generated).map(({ name }) => quoteName(name));
    const pieces = hasLongColumns(columns) ? await valuePieces(session, table, quoted, columns) : undefined;
    const insert = Buffer.from(`INSERT INTO ${quoteName(table.name)} (${names.join(", ")}) VALUES\n`);
    const select = selectRows(quoted, columns, primaryKey, session.rowMark, pieces);
    yield* insertStatements(session.stream(select), insert, table.name, counted);
  }
  yield Buffer.from(`${tableEnd(counted.rows)}\n`);
  onEnd(counted);
}

/** The last line of a table's script. */
export function tableEnd(rows: number): string {
  return `-- complete: ${rows} rows`;
}

async function* insertStatements(
  stream: AsyncGenerator<Buffer[], string[]>,
  insert: Buffer,
  table: string,
  counted: { rows: number; longestRowBytes: number },
): AsyncGenerator<Uint8Array> {
  const close = Buffer.from(";\n");
  const newline = Buffer.from("\n");
  let open = 0;
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) {
        refuseTruncation(next.value, table);
        break;
      }
      const pieces: Buffer[] = [];
      for (const row of next.value) {
        counted.rows += 1;
        if (row.length > counted.longestRowBytes) counted.longestRowBytes = row.length;
        if (open === 0) pieces.push(insert, row.subarray(1));
        else pieces.push(newline, row);
        open += row.length;
        if (open >= statementBytes || (crc32(row) & averageRowsMask) === 0) {
          pieces.push(close);
          open = 0;
        }
      }
      yield Buffer.concat(pieces);
    }
  } finally {
    await stream.return([]);
  }
  if (open > 0) yield close;
}

function refuseTruncation(warnings: readonly string[], table: string): void {
  const [first] = warnings;
  if (first === undefined) return;
  throw new HoldfastError(
    "FREEZE_FAILED",
    `The table ${table} could not be read whole: ${first.replaceAll("\t", " ")}`,
    {
      facts: { table },
      remedy: "Raise max_allowed_packet on the server, or correct the value.",
    },
  );
}

/** How long values have to be cut, if there are any so long that a function of them might not fit; else undefined. */
async function valuePieces(
  session: MariadbSession,
  table: TableInfo,
  quoted: string,
  columns: readonly { name: string; type: string; generated: boolean }[],
): Promise<ValuePieces | undefined> {
  const limit = Number(await session.value("SELECT @@max_allowed_packet"));
  const safe = Math.floor(limit / 2) - 1024;
  // What a table holds altogether no value exceeds. The figure lags behind: hence the wide margin, and refuseTruncation.
  if (table.dataBytes < safe / 8) return undefined;
  const lengths = columns
    .filter(({ generated }) => !generated)
    .map(({ name }) => `IFNULL(MAX(LENGTH(${quoteName(name)})), 0)`);
  const longest = Number(await session.value(`SELECT GREATEST(0, ${lengths.join(", ")}) FROM ${quoted}`));
  if (longest < safe) return undefined;
  // A piece is cut by characters, of four bytes at most, each of which may be doubled.
  return { longestBytes: longest, length: Math.floor(limit / 8) - 1024 };
}

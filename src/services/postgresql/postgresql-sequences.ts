import type { SequenceToDump } from "./postgresql-catalog.ts";
import { isSqlError, sqlState } from "./postgresql-errors.ts";
import { qualifiedName, quoteLiteral } from "./postgresql-quoting.ts";
import type { PostgresqlSession } from "./postgresql-session.ts";

/**
 * Positions of sequences. Sequences are outside of every snapshot: what is read is the position of that moment, never
 * less than the rows of an earlier snapshot need. So they are read in the freeze, unless there are too many.
 */

/** More than these take longer to read than a freeze should. */
const freezeLimit = 1000;
/** So many are locked at a time when they are read later. */
const batchSize = 500;

interface PositionRow {
  readonly at: number;
  readonly value: string;
  readonly called: boolean;
}

/** Plans the query ahead and loads what the server caches of the sequences, so that it costs the freeze little. */
export async function preparePositions(
  session: PostgresqlSession,
  sequences: readonly SequenceToDump[],
): Promise<void> {
  if (sequences.length === 0 || sequences.length > freezeLimit) return;
  await session.execute(`PREPARE positions AS ${positionsQuery(sequences)}`);
  await session.execute("EXECUTE positions");
}

/**
 * SQL that sets the sequences to where they are, read within a transaction and without a lock that outlasts this call;
 * undefined if there are too many or one of them has changed since they were listed: then `readPositions` has to serve.
 */
export async function readPreparedPositions(
  session: PostgresqlSession,
  sequences: readonly SequenceToDump[],
  timeoutMs: number,
): Promise<string | undefined> {
  if (sequences.length === 0) return "";
  if (sequences.length > freezeLimit) return undefined;
  try {
    const text = await session.execute("SAVEPOINT positions \\; EXECUTE positions", { timeoutMs });
    return commands(sequences, JSON.parse(text) as PositionRow[]);
  } catch (error) {
    if (!isSqlError(error, sqlState.undefinedTable, sqlState.featureNotSupported)) throw error;
    return undefined;
  } finally {
    await session.execute("ROLLBACK TO positions", { timeoutMs });
  }
}

/** The same after the freeze, in batches. */
export async function readPositions(session: PostgresqlSession, sequences: readonly SequenceToDump[]): Promise<string> {
  let text = "";
  for (let at = 0; at < sequences.length; at += batchSize) {
    const batch = sequences.slice(at, at + batchSize);
    const rows = await session.execute(`SAVEPOINT positions \\; ${positionsQuery(batch)}`);
    await session.execute("ROLLBACK TO positions");
    text += commands(batch, JSON.parse(rows) as PositionRow[]);
  }
  return text;
}

function positionsQuery(sequences: readonly SequenceToDump[]): string {
  const parts = sequences.map(
    ({ schema, name }, at) =>
      `SELECT ${at} AS at, last_value::text AS value, is_called AS called FROM ${qualifiedName(schema, name)}`,
  );
  return `SELECT coalesce(json_agg(row_to_json(s)), '[]') FROM (${parts.join(" UNION ALL ")}) s`;
}

function commands(sequences: readonly SequenceToDump[], rows: readonly PositionRow[]): string {
  const byPlace = new Map(rows.map((row) => [row.at, row]));
  return sequences
    .map(({ schema, name }, at) => {
      const row = byPlace.get(at);
      if (row === undefined) throw new TypeError(`The sequence ${schema}.${name} has no row.`);
      return `SELECT pg_catalog.setval(${quoteLiteral(qualifiedName(schema, name))}, ${row.value}, ${row.called});\n`;
    })
    .join("");
}

import type { MariadbSession } from "./mariadb-session.ts";
import { quoteName, quoteText } from "./sql-text.ts";

/** A column whose default takes a number from a sequence. The server keeps the sequence's schema in it, under every rename. */
export interface SequenceDefault {
  readonly table: string;
  readonly column: string;
  /** "nextval(`shop_hf_x_new`.`numbers`)". */
  readonly expression: string;
}

/** The definition without the schema of the sequences in it, which then are those of the schema that it is loaded into. */
export function withoutSequenceSchema(definition: string, schema: string): string {
  return replaceSchema(definition, schema, "");
}

/** Columns of `schema` whose defaults refer to sequences in the schema `sequences`. */
export async function readSequenceDefaults(
  session: MariadbSession,
  schema: string,
  sequences: string,
): Promise<SequenceDefault[]> {
  const rows = await session.query(
    `SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ${quoteText(schema)}
     AND LOCATE(${quoteText(`val(${quoteName(sequences)}.`)}, COLUMN_DEFAULT) > 0 ORDER BY TABLE_NAME, ORDINAL_POSITION`,
  );
  return rows.map(([table = "", column = "", expression = ""]) => ({ table, column, expression }));
}

/**
 * The statements that let the columns of the tables in `live`, which came from `staged`, take their numbers in `live`. The server
 * opens a table only where the sequences of its old defaults are: so for that time there are some in `staged` again.
 */
export function sequenceDefaultStatements(
  defaults: readonly SequenceDefault[],
  staged: string,
  live: string,
): string[] {
  const sequences = new Set(defaults.flatMap(({ expression }) => sequencesIn(expression, staged)));
  const standIns = [...sequences].map((sequence) => `${quoteName(staged)}.${sequence}`);
  return [
    ...standIns.map((sequence) => `CREATE SEQUENCE IF NOT EXISTS ${sequence}`),
    ...defaults.map(
      ({ table, column, expression }) =>
        `ALTER TABLE ${quoteName(live)}.${quoteName(table)} ALTER COLUMN ${quoteName(column)} SET DEFAULT (${replaceSchema(expression, staged, `${quoteName(live)}.`)})`,
    ),
    ...standIns.map((sequence) => `DROP SEQUENCE ${sequence}`),
  ];
}

/** Their quoted names. */
function sequencesIn(expression: string, schema: string): string[] {
  return expression
    .split(`val(${quoteName(schema)}.`)
    .slice(1)
    .flatMap((rest) => /^`(?:[^`]|``)*`/.exec(rest) ?? []);
}

function replaceSchema(text: string, schema: string, by: string): string {
  return ["nextval", "lastval", "setval"].reduce(
    (rest, name) => rest.replaceAll(`${name}(${quoteName(schema)}.`, `${name}(${by}`),
    text,
  );
}

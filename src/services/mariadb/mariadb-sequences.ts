import type { MariadbSession } from "./mariadb-session.ts";
import { quoteName } from "./sql-text.ts";

/** A sequence of MariaDB: its statement, and the next number that is not handed out. */
export interface SequenceState {
  readonly name: string;
  readonly create: string;
  readonly next: string;
  readonly round: string;
}

export async function readSequences(
  session: MariadbSession,
  schema: string,
  names: readonly string[],
): Promise<SequenceState[]> {
  const answers = await session.queryAll(
    names.flatMap((name) => {
      const quoted = `${quoteName(schema)}.${quoteName(name)}`;
      return [`SHOW CREATE SEQUENCE ${quoted}`, `SELECT next_not_cached_value, cycle_count FROM ${quoted}`];
    }),
  );
  return names.map((name, at) => ({
    name,
    create: answers[2 * at]?.[0]?.[1] ?? "",
    next: answers[2 * at + 1]?.[0]?.[0] ?? "1",
    round: answers[2 * at + 1]?.[0]?.[1] ?? "0",
  }));
}

/** The statements that make the sequences again in the session's current schema. */
export function sequenceScript(sequences: readonly SequenceState[]): string {
  const lines = sequences.map(
    ({ name, create, next, round }) => `${create};\nDO SETVAL(${quoteName(name)}, ${next}, 0, ${round});\n`,
  );
  return `-- Holdfast sequences, format 1\n${lines.join("")}-- complete: ${sequences.length}\n`;
}

import { createHash } from "node:crypto";
import type { OperationId } from "../../base/index.ts";

/** `name` as an SQL identifier, always quoted. */
export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** `text` as an SQL string, right whatever standard_conforming_strings says. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll("\\", "\\\\")}'`;
  return text.includes("\\") ? ` E${quoted}` : quoted;
}

/** "schema"."name". */
export const qualifiedName = (schema: string, name: string): string =>
  `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;

/** File name for a table's data: schema, dot, table, with everything but letters, digits, "_" and "-" percent-encoded. */
export function tableFileName(schema: string, table: string): string {
  const name = `${percentEncode(schema)}.${percentEncode(table)}`;
  // File systems allow 255 bytes; two identifiers of 63 bytes can take three times as many each.
  const safe = name.length <= 240 ? name : `${name.slice(0, 200)}~${shortHash(name)}`;
  return `${safe}.sql`;
}

function percentEncode(name: string): string {
  return [...Buffer.from(name)]
    .map((byte) => {
      const letter = String.fromCharCode(byte);
      return /[A-Za-z0-9_-]/.test(letter) ? letter : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
}

const shortHash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);

/** The scratch databases of one restore. */
export interface ScratchNames {
  readonly live: string;
  /** Holds what is staged. */
  readonly staged: string;
  /** Holds the former live data after the swap. */
  readonly old: string;
  /** Empty; made by stage where there is no live database, and renamed to `absent` by the swap. */
  readonly place: string;
  /** Empty; there while the live database is the restored one, and there was none before the swap. */
  readonly absent: string;
}

/** Names that follow from the database and the operation alone, so that a new process finds them after a crash. */
export function scratchNames(database: string, operation: OperationId): ScratchNames {
  // Identifiers have 63 bytes; "_hf_", twelve characters and "_new" take 20.
  const stem = Buffer.byteLength(database) <= 42 ? database : `hf_${shortHash(database)}`;
  const base = `${stem}_hf_${operation}`;
  return { live: database, staged: `${base}_new`, old: `${base}_old`, place: `${base}_nil`, absent: `${base}_abs` };
}

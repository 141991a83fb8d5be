import { type ErrorCode, HoldfastError, type HoldfastErrorOptions } from "../../base/index.ts";

/** An error that the server reported, with its SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html */
export class SqlError extends Error {
  readonly sqlState: string;

  constructor(sqlState: string, message: string) {
    super(message);
    this.name = "SqlError";
    this.sqlState = sqlState;
  }
}

/** True for an SqlError of one of these states. */
export function isSqlError(error: unknown, ...sqlStates: readonly string[]): error is SqlError {
  return error instanceof SqlError && (sqlStates.length === 0 || sqlStates.includes(error.sqlState));
}

export const sqlState = {
  featureNotSupported: "0A000",
  undefinedFile: "58P01",
  insufficientPrivilege: "42501",
  diskFull: "53100",
  objectInUse: "55006",
  lockNotAvailable: "55P03",
  queryCanceled: "57014",
  undefinedTable: "42P01",
  undefinedColumn: "42703",
  undefinedObject: "42704",
  databaseMissing: "3D000",
  duplicateDatabase: "42P04",
} as const;

/**
 * The HoldfastError for a server's error. `doing` is what was going on, with the place: 'Reading "shop" at db:5432'.
 * Privileges, a full disk and lost sessions have codes of their own; for the rest it is `fallback`.
 */
export function serviceError(
  error: SqlError,
  doing: string,
  fallback: ErrorCode,
  options: HoldfastErrorOptions = {},
): HoldfastError {
  const facts = { ...options.facts, sqlState: error.sqlState };
  return new HoldfastError(codeFor(error.sqlState) ?? fallback, `${doing} failed: ${error.message}`, {
    ...options,
    facts,
    cause: error,
  });
}

function codeFor(state: string): ErrorCode | undefined {
  if (state === sqlState.insufficientPrivilege) return "SERVICE_PERMISSION_MISSING";
  if (state === sqlState.diskFull) return "TARGET_FULL";
  if (state === sqlState.databaseMissing) return "SERVICE_DATABASE_MISSING";
  if (state.startsWith("08") || /^57P0[1-3]$/.test(state)) return "SERVICE_UNREACHABLE";
  return undefined;
}

/**
 * The server's error in what psql wrote to standard error under `VERBOSITY=verbose`; only the five characters of the
 * state (one of them a digit) are looked for, not words, which are in the server's language. Undefined if there is none.
 */
export function sqlErrorIn(stderr: string): SqlError | undefined {
  const found = [...stderr.matchAll(/^[^\n]*?:\s+(?=[A-Z]*\d)([0-9A-Z]{5}): ([^\n]*)$/gm)]
    // States that begin with 00, 01 and 02 are successes and warnings.
    .find((match) => !/^0[0-2]/.test(match[1] ?? "00"));
  return found === undefined ? undefined : new SqlError(found[1] ?? "XX000", found[2] ?? "");
}

import { type ErrorCode, HoldfastError } from "../../base/index.ts";
import { connectionPlace, type MariadbConnection } from "./mariadb-config.ts";
import { quoteAccount } from "./sql-text.ts";

/** What the client program prints: "ERROR 1045 (28000): Access denied ..." or "ERROR 1146 (42S02) at line 3: ...". */
const errorLine = /^ERROR (\d+)(?: \(\w+\))?(?: at line \d+)?: ([^]*)/;

const codes: Readonly<Record<number, ErrorCode>> = {
  3: "TARGET_FULL", // error writing file
  1021: "TARGET_FULL", // disk full
  1030: "SERVICE_STAGE_FAILED", // error from storage engine
  1040: "SERVICE_UNREACHABLE", // too many connections
  1044: "SERVICE_PERMISSION_MISSING", // access to the database denied
  1045: "SERVICE_LOGIN_FAILED",
  1049: "SERVICE_DATABASE_MISSING",
  1053: "SERVICE_UNREACHABLE", // shutdown in progress
  1114: "TARGET_FULL", // table is full
  1129: "SERVICE_UNREACHABLE", // host blocked
  1130: "SERVICE_LOGIN_FAILED", // host not allowed
  1142: "SERVICE_PERMISSION_MISSING",
  1143: "SERVICE_PERMISSION_MISSING",
  1203: "SERVICE_UNREACHABLE", // too many connections of this user
  1226: "SERVICE_UNREACHABLE", // resource limit of this user
  1227: "SERVICE_PERMISSION_MISSING", // needs SUPER or the like
  1251: "SERVICE_LOGIN_FAILED",
  1370: "SERVICE_PERMISSION_MISSING", // routine
  1410: "SERVICE_PERMISSION_MISSING",
  1419: "SERVICE_PERMISSION_MISSING", // trigger with binary log and without SUPER
  1698: "SERVICE_LOGIN_FAILED",
  1820: "SERVICE_LOGIN_FAILED", // password expired
  2002: "SERVICE_UNREACHABLE",
  2003: "SERVICE_UNREACHABLE",
  2005: "SERVICE_UNREACHABLE",
  2006: "SERVICE_UNREACHABLE",
  2013: "SERVICE_UNREACHABLE",
  2026: "SERVICE_UNREACHABLE", // TLS
  2055: "SERVICE_UNREACHABLE",
};

/** Server errors that callers look for. */
export const serverErrors = {
  lockWaitTimeout: 1205,
  queryInterrupted: 1317,
  noSuchThread: 1094,
  noSuchDefiner: 1449,
  statementTimeout: 1969,
  packetTooLarge: 1153,
} as const;

/** The number of the server's or client's error, or undefined. */
export function serverErrorNumber(error: unknown): number | undefined {
  const number = error instanceof HoldfastError ? error.facts["serverError"] : undefined;
  return typeof number === "number" ? number : undefined;
}

/** Turns what a client program said before it ended into the error of this project; `error` stays as it is if it said nothing known. */
export function clientError(error: unknown, connection: MariadbConnection): unknown {
  if (!(error instanceof HoldfastError) || error.code !== "COMMAND_FAILED") return error;
  // Before it, the client repeats the statement, which may hold data: it goes no further, not even as the cause.
  const stderr = `\n${String(error.facts["stderr"] ?? "")}`;
  const match = errorLine.exec(stderr.slice(stderr.lastIndexOf("\nERROR ") + 1));
  if (match === null) return error;
  const number = Number(match[1]);
  const said = (match[2] ?? "").trim();
  const full = /Errcode: 28|No space left/i.test(said);
  const code = full ? "TARGET_FULL" : (codes[number] ?? "COMMAND_FAILED");
  return new HoldfastError(code, `MariaDB at ${connectionPlace(connection)}: ${said} (error ${number})`, {
    facts: { serverError: number, place: connectionPlace(connection) },
    remedy: remedyOf(code, number, connection),
  });
}

function remedyOf(code: ErrorCode, number: number, connection: MariadbConnection): string {
  const account = quoteAccount(connection.user);
  const remedies: Partial<Record<ErrorCode, string>> = {
    SERVICE_LOGIN_FAILED:
      "Check the user and the password in the service's url, and the hosts the user may connect from.",
    SERVICE_UNREACHABLE: "Check that the server runs, and the host and port in the service's url.",
    SERVICE_DATABASE_MISSING: `Create the database "${connection.database}", or correct the service's url.`,
    SERVICE_PERMISSION_MISSING:
      number === 1419
        ? "Set log_bin_trust_function_creators=1 on the server, or grant SUPER to the user."
        : `As the server's administrator, grant the user the right: see SHOW GRANTS FOR ${account};`,
    TARGET_FULL: "Make room on the disk of the database server.",
  };
  return remedies[code] ?? "See the server's message and its error log.";
}

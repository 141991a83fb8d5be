import { randomBytes } from "node:crypto";
import { HoldfastError, isHoldfastError } from "../../base/index.ts";
import { clientToolOutput, startClientTool } from "../client-tool/client-tool.ts";
import type { PostgresqlConnection } from "./postgresql-connection.ts";
import { serviceError, sqlErrorIn } from "./postgresql-errors.ts";

/** What pg_dump is asked for; each from the same snapshot. */
export type DumpPart = "pre-data" | "large-objects" | "post-data";

export interface DumpTool {
  /** Whether pg_dump knows --restrict-key (since the minor releases of August 2025). */
  readonly knowsRestrictKey: boolean;
}

/** Lines that differ from run to run or that an older server would not take stand within so many bytes of either end. */
const edgeBytes = 8192;

/** A part of the database as SQL text; the same state gives the same bytes. */
export async function* dumpPart(
  connection: PostgresqlConnection,
  tool: DumpTool,
  part: DumpPart,
  snapshot: string,
  signal: AbortSignal,
): AsyncIterable<Buffer> {
  const restrictKey = randomBytes(16).toString("hex");
  const args = [
    "--no-password",
    `--snapshot=${snapshot}`,
    ...(tool.knowsRestrictKey ? [`--restrict-key=${restrictKey}`] : []),
    ...(part === "large-objects"
      ? // Rows and sequences have files of their own.
        ["--section=data", "--blobs", "--exclude-table-data=*.*"]
      : [`--section=${part}`]),
    connection.databaseArgument(),
  ];
  const running = startClientTool("pg_dump", args, connection.toolOptions(signal));
  running.stdin.end();
  try {
    yield* steadyLines(clientToolOutput(running), tool.knowsRestrictKey ? restrictKey : undefined);
  } catch (error) {
    if (!isHoldfastError(error, "COMMAND_FAILED")) throw error;
    const sqlError = sqlErrorIn(running.stderr());
    const doing = `Dumping the ${part} of PostgreSQL database ${connection.label}`;
    if (sqlError !== undefined) throw serviceError(sqlError, doing, "COMMAND_FAILED");
    throw new HoldfastError("COMMAND_FAILED", `${doing} failed: ${error.message}`, {
      facts: error.facts,
      cause: error,
    });
  }
}

/**
 * Takes out what pg_dump puts around the dump for psql: the \restrict lines with this run's key (the target sets its
 * own before it loads the text) and a setting that servers before version 17 do not know.
 */
async function* steadyLines(text: AsyncIterable<Uint8Array>, restrictKey: string | undefined): AsyncIterable<Buffer> {
  const unwanted = ["SET transaction_timeout = 0;\n"];
  if (restrictKey !== undefined) unwanted.push(`\\restrict ${restrictKey}\n`, `\\unrestrict ${restrictKey}\n`);
  let held: Buffer = Buffer.alloc(0);
  let headSeen = false;
  for await (const chunk of text) {
    held = Buffer.concat([held, chunk]);
    if (held.length <= 2 * edgeBytes) continue;
    const piece = held.subarray(0, held.length - edgeBytes);
    held = held.subarray(held.length - edgeBytes);
    yield headSeen ? piece : without(piece, unwanted);
    headSeen = true;
  }
  yield without(held, headSeen ? unwanted.slice(1) : unwanted);
}

function without(piece: Buffer, lines: readonly string[]): Buffer {
  let text = piece;
  for (const line of lines) {
    const at = text.indexOf(line);
    if (at === 0 || (at > 0 && text[at - 1] === 0x0a)) {
      text = Buffer.concat([text.subarray(0, at), text.subarray(at + line.length)]);
    }
  }
  return text;
}

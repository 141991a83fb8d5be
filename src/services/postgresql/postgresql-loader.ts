import { randomBytes } from "node:crypto";
import type { Writable } from "node:stream";
import { HoldfastError, isHoldfastError, throwIfAborted } from "../../base/index.ts";
import { runClientTool, startClientTool } from "../client-tool/client-tool.ts";
import type { PostgresqlConnection } from "./postgresql-connection.ts";
import { serviceError, type SqlError, sqlErrorIn, sqlState } from "./postgresql-errors.ts";

export interface LoadOptions {
  readonly database: string;
  /** psql variables, without secrets. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Whether psql can be told to run no commands of its own that a dump may contain (\restrict). */
export async function knowsRestrict(connection: PostgresqlConnection): Promise<boolean> {
  const help = await runClientTool("psql", ["-X", "--help=commands"], {
    ...connection.toolOptions(),
    timeoutMs: 30_000,
  });
  return help.includes("\\restrict");
}

/**
 * Loads SQL text through one psql, which stops at the first error.
 * @throws HoldfastError SERVICE_STAGE_FAILED, SERVICE_PERMISSION_MISSING, TARGET_FULL, SERVICE_UNREACHABLE,
 * TOOL_MISSING, INTERRUPTED; an error of `script` as it is
 */
export async function loadScript(
  connection: PostgresqlConnection,
  script: AsyncIterable<Uint8Array>,
  restrict: boolean,
  options: LoadOptions,
): Promise<void> {
  const variables = Object.entries(options.variables ?? {}).flatMap(([name, value]) => ["-v", `${name}=${value}`]);
  const args = ["-Xq", "--no-password", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", ...variables];
  const tool = startClientTool(
    "psql",
    [...args, connection.databaseArgument(options.database)],
    connection.toolOptions(options.signal),
  );
  tool.stdout.resume();
  // psql closes its input when it stops at an error; its exit then says why.
  const closed = new Promise<void>((resolve) => void tool.stdin.once("close", resolve));
  const write = async (chunk: Uint8Array): Promise<void> => {
    if (!tool.stdin.write(chunk)) await Promise.race([drained(tool.stdin), closed]);
  };
  try {
    // A dump is text from another server: its superuser must not be able to run programs on this machine.
    if (restrict) await write(Buffer.from(`\\restrict ${randomBytes(16).toString("hex")}\n`));
    await write(Buffer.from("SET client_min_messages = warning;\nSET synchronous_commit = off;\n"));
    for await (const chunk of script) {
      if (tool.stdin.destroyed) break;
      await write(chunk);
    }
    tool.stdin.end();
  } catch (error) {
    await tool.kill();
    throwIfAborted(options.signal);
    throw error;
  }
  try {
    await tool.done;
  } catch (error) {
    if (!isHoldfastError(error, "COMMAND_FAILED")) throw error;
    throw loadError(connection, sqlErrorIn(tool.stderr()), error);
  }
}

function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => void stream.once("drain", resolve));
}

function loadError(connection: PostgresqlConnection, error: SqlError | undefined, cause: HoldfastError): HoldfastError {
  const doing = `Loading the backup beside PostgreSQL database ${connection.label}`;
  const user = connection.address.user;
  if (error === undefined) {
    return new HoldfastError("SERVICE_STAGE_FAILED", `${doing} failed: ${cause.message}`, {
      facts: cause.facts,
      remedy: "Look at the server's log. The live database was not changed.",
      cause,
    });
  }
  const remedies: Readonly<Record<string, string>> = {
    [sqlState.insufficientPrivilege]:
      `As a superuser give "${user}" what the message names (ALTER ROLE "${user}" CREATEDB; ` +
      `GRANT the owning roles TO "${user}"), or restore with a superuser in the service's url.`,
    [sqlState.diskFull]: "Free space on the database server: a restore needs room for a second copy of the database.",
    [sqlState.featureNotSupported]: "Install the extension that the message names on the database server.",
    [sqlState.undefinedFile]: "Install the extension that the message names on the database server.",
    [sqlState.undefinedObject]:
      "Create what the message names (a tablespace, say) on the database server: it is not part of a database.",
  };
  return serviceError(error, doing, "SERVICE_STAGE_FAILED", {
    remedy: remedies[error.sqlState] ?? "The live database was not changed. See the server's log for the statement.",
  });
}

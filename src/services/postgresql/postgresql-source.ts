import { HoldfastError, isHoldfastError, messageOf, type SourceId, throwIfAborted } from "../../base/index.ts";
import {
  type Entry,
  type FreezePoint,
  generatedDirectory,
  generatedFile,
  type Source,
  type SourceContext,
  type SourceDescription,
} from "../../component/index.ts";
import {
  copyCommands,
  findChangedTable,
  listSequences,
  listTables,
  readServerFacts,
  type SequenceToDump,
  type ServerFacts,
  type TableToDump,
} from "./postgresql-catalog.ts";
import { databaseScript, rolesScript } from "./postgresql-cluster-objects.ts";
import type { PostgresqlConfig } from "./postgresql-config.ts";
import { PostgresqlConnection } from "./postgresql-connection.ts";
import { type DumpPart, type DumpTool, dumpPart } from "./postgresql-dump.ts";
import { isSqlError, serviceError, sqlState, SqlError } from "./postgresql-errors.ts";
import { tableFileName } from "./postgresql-quoting.ts";
import { preparePositions, readPositions, readPreparedPositions } from "./postgresql-sequences.ts";
import { PostgresqlSession } from "./postgresql-session.ts";
import { Tally } from "./postgresql-tally.ts";
import { checkReadable, checkVersions } from "./postgresql-requirements.ts";
import { endSessions, openMaintenance } from "./postgresql-databases.ts";

interface Prepared {
  readonly context: SourceContext;
  readonly connection: PostgresqlConnection;
  readonly session: PostgresqlSession;
  readonly server: ServerFacts;
  readonly tool: DumpTool;
  readonly tables: readonly TableToDump[];
  readonly sequences: readonly SequenceToDump[];
}

interface Frozen {
  readonly at: Date;
  readonly snapshot: string;
  /** The sequences' positions as SQL, if they were read in the freeze. */
  readonly positions: string | undefined;
}

/**
 * One PostgreSQL database. The freeze point is an exported snapshot of a read-only transaction, which stays open in one
 * psql until everything is read; rows are written by COPY in it, definitions by pg_dump from the same snapshot.
 *
 *     1-roles.sql             the roles that the database refers to, each made only where it is missing
 *     2-database.sql          CREATE DATABASE and its settings, grants, comment; name in psql's variable `database`
 *     3-pre-data.sql          schemas, types, functions, tables: all but what would slow the loading or stand in its way
 *     4-tables/<schema>.<table>.sql   a COPY command and its rows; one table can be loaded alone
 *     5-large-objects.sql     if there are any
 *     6-sequences.sql         their positions
 *     7-post-data.sql         indexes, constraints, triggers, materialized views, policies, publications
 *
 * Without Holdfast: run 1 and 2 in "postgres" (psql -v database=shop -f ...), the rest in order in the new database.
 *
 * No lock outlasts the reading of one table, so clients never wait for a backup to end. The price: TRUNCATE, DROP and a
 * rewriting ALTER are seen by older snapshots too, so a table that meets one before it is read fails the backup.
 */
export class PostgresqlSource implements Source {
  readonly id: SourceId;
  readonly #config: PostgresqlConfig;
  #prepared: Prepared | undefined;
  #frozen: Frozen | undefined;
  #tally = new Tally();

  constructor(id: SourceId, config: PostgresqlConfig) {
    this.id = id;
    this.#config = config;
  }

  async prepare(context: SourceContext): Promise<void> {
    const connection = new PostgresqlConnection(this.#config, context.operationId);
    const session = await PostgresqlSession.open(connection);
    try {
      throwIfAborted(context.signal);
      const server = await readServerFacts(session);
      const tool = await checkVersions(connection, server);
      await session.execute("SET row_security = off");
      // A scan that joins another's midway would yield the rows in a different order each time.
      await session.execute("SET synchronize_seqscans = off");
      // As pg_dump does: values that read back exactly, names that do not depend on a search path.
      await session.execute("SET search_path = ''");
      await session.execute("SET extra_float_digits = 3");
      await session.execute("SET datestyle = ISO");
      await session.execute("SET intervalstyle = postgres");
      await session.execute("SET timezone = 'UTC'");
      const tables = await listTables(session, server.versionNumber);
      const sequences = await listSequences(session);
      checkReadable(connection, server, tables, sequences);
      await preparePositions(session, sequences);
      if (server.mayCheckpoint) await session.execute("CHECKPOINT");
      this.#prepared = { context, connection, session, server, tool, tables, sequences };
    } catch (error) {
      await session.close();
      if (error instanceof SqlError) throw serviceError(error, `Preparing ${connection.label}`, "COMMAND_FAILED");
      throw error;
    }
  }

  async freeze(deadlineMs: number): Promise<FreezePoint> {
    const { context, session, tables, sequences, server, connection } = this.#need(this.#prepared, "prepare");
    const { clock } = context;
    const startedAt = clock.monotonicMs();
    const remainingMs = (): number => Math.max(1, Math.floor(deadlineMs - (clock.monotonicMs() - startedAt)));
    const at = clock.now();
    try {
      const commands = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SELECT pg_catalog.pg_export_snapshot()"];
      const output = await session.execute(commands.join(" \\; "), { timeoutMs: remainingMs() });
      const snapshot = output.trim();
      const positions = await readPreparedPositions(session, sequences, remainingMs());
      this.#frozen = { at, snapshot, positions };
    } catch (error) {
      await session.close();
      throw new HoldfastError(
        "FREEZE_FAILED",
        `PostgreSQL database ${connection.label} could not fix its point in time within ${deadlineMs} ms: ` +
          messageOf(error),
        {
          facts: { deadlineMs, ...(error instanceof SqlError ? { sqlState: error.sqlState } : {}) },
          remedy: "Try again; if it happens often, look at the server's load and log.",
          cause: error,
        },
      );
    }
    return {
      at,
      durationMs: clock.monotonicMs() - startedAt,
      facts: { method: "exported snapshot", tables: tables.length, checkpoint: server.mayCheckpoint },
    };
  }

  async *read(signal: AbortSignal): AsyncIterable<Entry> {
    const prepared = this.#need(this.#prepared, "prepare");
    const { session, server, context } = prepared;
    const frozen = this.#need(this.#frozen, "freeze");
    throwIfAborted(signal);
    this.#tally = new Tally();
    const text = (name: string, content: string): Entry =>
      generatedFile(name, frozen.at, () => this.#tally.measure(name, pieces(content)));
    const dump = (name: string, part: DumpPart): Entry =>
      generatedFile(name, frozen.at, (streamSignal) =>
        this.#tally.measure(name, this.#definitions(prepared, part, AbortSignal.any([signal, streamSignal]))),
      );

    yield generatedDirectory("", frozen.at);
    yield text("1-roles.sql", await this.#sql(() => rolesScript(session, server.superuser)));
    yield text("2-database.sql", await this.#sql(() => databaseScript(session, server.versionNumber)));
    yield dump("3-pre-data.sql", "pre-data");
    // Tables made between prepare and freeze are in the snapshot; they count as well.
    const tables = await this.#sql(() => listTables(session, server.versionNumber));
    checkReadable(prepared.connection, server, tables, []);
    context.progress({ expectedFiles: tables.length + 5 });
    yield generatedDirectory("4-tables", frozen.at);
    for (const { file, table } of inFileOrder(tables)) {
      throwIfAborted(signal);
      yield generatedFile(`4-tables/${file}`, frozen.at, (streamSignal) =>
        this.#tableRows(prepared, table, AbortSignal.any([signal, streamSignal])),
      );
    }
    if (server.largeObjects || (await this.#sql(() => readServerFacts(session))).largeObjects) {
      yield dump("5-large-objects.sql", "large-objects");
    }
    const positions =
      frozen.positions ?? (await this.#sql(async () => readPositions(session, await listSequences(session))));
    yield text("6-sequences.sql", positions);
    yield dump("7-post-data.sql", "post-data");
    throwIfAborted(signal);
    // Nothing more is read: what waits for the locks may go on.
    await session.close();
  }

  describe(): SourceDescription {
    const { server, tool } = this.#need(this.#prepared, "prepare");
    return {
      kind: "postgresql",
      engineVersion: server.version.split(" ")[0] ?? server.version,
      counts: this.#tally.counts(),
      fingerprints: this.#tally.fingerprints(),
      facts: {
        serverVersionNumber: server.versionNumber,
        passwordsIncluded: server.superuser,
        restrictKeyKnown: tool.knowsRestrictKey,
      },
    };
  }

  async dispose(): Promise<void> {
    await this.#prepared?.session.close();
  }

  /** Ends the sessions of the dead process; one that is gone has nothing left in the server. */
  async recover(context: SourceContext): Promise<void> {
    const connection = new PostgresqlConnection(this.#config, context.operationId);
    await using maintenance = await openMaintenance(connection);
    await endSessions(maintenance, { applicationName: connection.applicationName });
  }

  async *#definitions(prepared: Prepared, part: DumpPart, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { connection, tool, session } = prepared;
    const { snapshot } = this.#need(this.#frozen, "freeze");
    try {
      yield* dumpPart(connection, tool, part, snapshot, signal);
    } catch (error) {
      if (!isHoldfastError(error, "COMMAND_FAILED")) throw error;
      // pg_dump tells no codes. It fails if our session, whose snapshot it shares, or one of the tables has gone.
      const gone = await this.#sql(() => findChangedTable(session));
      throw gone === undefined ? error : changed(gone, connection, error);
    }
  }

  async *#tableRows(prepared: Prepared, table: TableToDump, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { session, connection } = prepared;
    const commands = copyCommands(table);
    const rows = this.#tally.table(table.schema, table.name);
    // As in pg_dump's own text, so that psql loads the file as it is.
    yield Buffer.from(`${commands.in}\n`);
    try {
      await session.execute("SAVEPOINT rows");
      for await (const chunk of session.copyOut(commands.out, { signal })) {
        rows.add(chunk);
        yield chunk;
      }
      // COPY's lock is still held: what it read is what there is.
      const [now] = await session.rows<{ fileNode: number | null }>(
        `SELECT pg_catalog.pg_relation_filenode(${table.oid})::bigint AS "fileNode"`,
      );
      if (now?.fileNode !== table.fileNode) throw changed(table, connection, undefined);
      await session.execute("ROLLBACK TO rows \\; RELEASE rows");
    } catch (error) {
      if (isSqlError(error, sqlState.undefinedTable, sqlState.undefinedColumn)) throw changed(table, connection, error);
      if (!(error instanceof SqlError)) throw error;
      throw serviceError(error, `Reading table ${table.schema}.${table.name} of ${connection.label}`, "COMMAND_FAILED");
    }
    yield Buffer.from("\\.\n");
    rows.done();
  }

  async #sql<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      const label = this.#prepared?.connection.label ?? this.id;
      throw serviceError(error, `Reading PostgreSQL database ${label}`, "COMMAND_FAILED");
    }
  }

  #need<T>(value: T | undefined, call: string): T {
    if (value === undefined) throw new TypeError(`${this.id}: ${call} has not been called.`);
    return value;
  }
}

function changed(
  table: { readonly schema: string; readonly name: string },
  connection: PostgresqlConnection,
  cause: Error | undefined,
): HoldfastError {
  return new HoldfastError(
    "FREEZE_FAILED",
    `Table ${table.schema}.${table.name} of PostgreSQL database ${connection.label} was truncated, rewritten, altered ` +
      "or dropped after the freeze point and before it was read, so its rows of that moment are gone.",
    {
      facts: { table: `${table.schema}.${table.name}` },
      remedy: "Take the backup again while no migration, TRUNCATE or VACUUM FULL runs.",
      cause,
    },
  );
}

async function* pieces(text: string): AsyncIterable<Buffer> {
  if (text !== "") yield Buffer.from(text);
}

function inFileOrder(tables: readonly TableToDump[]): { readonly file: string; readonly table: TableToDump }[] {
  return tables
    .map((table) => ({ file: tableFileName(table.schema, table.name), table }))
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.file), Buffer.from(b.file)));
}

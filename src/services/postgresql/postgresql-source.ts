import { HoldfastError, messageOf, type SourceId, throwIfAborted } from "../../base/index.ts";
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
import { qualifiedName, quoteLiteral, tableFileName } from "./postgresql-quoting.ts";
import { PostgresqlSession } from "./postgresql-session.ts";
import { Tally } from "./postgresql-tally.ts";
import { checkReadable, checkVersions } from "./postgresql-requirements.ts";
import { endSessions } from "./postgresql-databases.ts";

/** More positions than this take longer to read than a freeze should; they are then read after it. */
const sequencesInFreeze = 1000;

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
 * Reads and writes of clients never wait for it. TRUNCATE, DROP and ALTER of a table wait until `read` has ended, as with
 * every pg_dump: without that lock a TRUNCATE after the freeze would empty the table in the backup too.
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
      // LOCK takes no snapshot; what is truncated before it is truncated in the snapshot too, and nothing after it.
      const commands = [
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        `SET LOCAL lock_timeout = ${remainingMs()}`,
        `SET LOCAL statement_timeout = ${remainingMs()}`,
        ...lockCommands(tables),
        "SELECT pg_catalog.pg_export_snapshot()",
      ];
      const output = await session.execute(commands.join(" \\; "), { timeoutMs: remainingMs() });
      const snapshot = output.trim();
      const positions =
        sequences.length <= sequencesInFreeze ? await readPositions(session, sequences, remainingMs()) : undefined;
      await session.execute("SET LOCAL lock_timeout = 0 \\; SET LOCAL statement_timeout = 0", {
        timeoutMs: remainingMs(),
      });
      this.#frozen = { at, snapshot, positions };
    } catch (error) {
      await session.close();
      throw new HoldfastError(
        "FREEZE_FAILED",
        `PostgreSQL database ${connection.label} could not fix its point in time within ${deadlineMs} ms: ` +
          messageOf(error),
        {
          facts: { deadlineMs, ...(error instanceof SqlError ? { sqlState: error.sqlState } : {}) },
          remedy: isSqlError(error, sqlState.lockNotAvailable)
            ? "Another session holds an exclusive lock on a table (a migration, VACUUM FULL?): see pg_stat_activity, and try again when it is done."
            : "Try again; if it happens often, look at the server's load and log.",
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
        this.#tally.measure(
          name,
          dumpPart(prepared.connection, prepared.tool, part, frozen.snapshot, AbortSignal.any([signal, streamSignal])),
        ),
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
      frozen.positions ??
      (await this.#sql(async () => readPositions(session, await listSequences(session), undefined))) ??
      "";
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
    await using session = await PostgresqlSession.open(connection);
    await endSessions(session, { applicationName: connection.applicationName });
  }

  async *#tableRows(prepared: Prepared, table: TableToDump, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { session, connection } = prepared;
    const commands = copyCommands(table);
    const rows = this.#tally.table(table.schema, table.name);
    // As in pg_dump's own text, so that psql loads the file as it is.
    yield Buffer.from(`${commands.in}\n`);
    try {
      for await (const chunk of session.copyOut(commands.out, { signal })) {
        rows.add(chunk);
        yield chunk;
      }
    } catch (error) {
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

async function* pieces(text: string): AsyncIterable<Buffer> {
  if (text !== "") yield Buffer.from(text);
}

function inFileOrder(tables: readonly TableToDump[]): { readonly file: string; readonly table: TableToDump }[] {
  return tables
    .map((table) => ({ file: tableFileName(table.schema, table.name), table }))
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.file), Buffer.from(b.file)));
}

function lockCommands(tables: readonly TableToDump[]): string[] {
  if (tables.length === 0) return [];
  return [
    `LOCK TABLE ${tables.map(({ schema, name }) => `ONLY ${qualifiedName(schema, name)}`).join(", ")} IN ACCESS SHARE MODE`,
  ];
}

/** Commands that set the sequences to where they are; undefined if one of them has vanished meanwhile. */
async function readPositions(
  session: PostgresqlSession,
  sequences: readonly SequenceToDump[],
  timeoutMs: number | undefined,
): Promise<string | undefined> {
  if (sequences.length === 0) return "";
  // Sequences are outside of every snapshot: their values are those of this moment, never less than the rows need.
  const query = sequences
    .map(
      ({ schema, name }, at) =>
        `SELECT ${at} AS at, last_value::text AS value, is_called AS called FROM ${qualifiedName(schema, name)}`,
    )
    .join(" UNION ALL ");
  await session.execute("SAVEPOINT positions");
  try {
    const rows = await session.rows<{ at: number; value: string; called: boolean }>(
      `SELECT * FROM (${query}) s ORDER BY at`,
      timeoutMs === undefined ? {} : { timeoutMs },
    );
    return rows
      .map(({ at, value, called }) => {
        const sequence = sequences[at] as SequenceToDump;
        const name = quoteLiteral(qualifiedName(sequence.schema, sequence.name)).trim();
        return `SELECT pg_catalog.setval(${name}, ${value}, ${called});\n`;
      })
      .join("");
  } catch (error) {
    if (!isSqlError(error, sqlState.undefinedTable)) throw error;
    await session.execute("ROLLBACK TO positions");
    return undefined;
  }
}

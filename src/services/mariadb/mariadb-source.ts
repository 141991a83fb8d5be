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
import { readVisibleObjects, schemaScript, textFile, useDatabase } from "./database-scripts.ts";
import { LockedTables } from "./locked-tables.ts";
import { connectionPlace, type MariadbConfig, type MariadbConnection, mariadbConnection } from "./mariadb-config.ts";
import { serverErrorNumber } from "./mariadb-errors.ts";
import { readPrivileges, requirePrivileges, type ServerVersion, serverVersion } from "./mariadb-server.ts";
import { MariadbSession } from "./mariadb-session.ts";
import {
  listTables,
  listTablesStatement,
  readDefinitions,
  type TableInfo,
  tableNature,
  tablesFromRows,
} from "./mariadb-tables.ts";
import { readSequences, type SequenceState, sequenceScript } from "./mariadb-sequences.ts";
import { quoteName, quoteText } from "./sql-text.ts";
import { type Watch, withinBudget } from "./statement-budget.ts";
import { definerOf, formatObjects, readObjects, sameObject, type StoredObject } from "./stored-object.ts";
import {
  changedSince,
  describeTables,
  lockedTables,
  refuseLargeLocked,
  refuseUnreadable,
  sameDefinition,
  tableNames,
  warningsOf,
} from "./table-checks.ts";
import { dumpTable, type TableDumpResult } from "./table-dump.ts";
import { tableFileName } from "./table-file.ts";

interface Frozen {
  readonly at: Date;
  readonly tables: readonly TableInfo[];
  readonly sequences: readonly SequenceState[];
}

/**
 * A MariaDB or MySQL database as a backup sees it. One session of ours begins a transaction with a consistent snapshot inside
 * the hold, in less than a millisecond and without a lock, and reads all tables through it afterwards. Rows of tables that
 * take no part in snapshots (MyISAM, Aria, MEMORY, ...) are copied to the work folder inside the hold under LOCK TABLES.
 */
export class MariadbSource implements Source {
  readonly id: SourceId;
  readonly #connection: MariadbConnection;
  /** Holds the snapshot. */
  #session: MariadbSession | undefined;
  /** Kills what waits too long. */
  #control: MariadbSession | undefined;
  #locked: LockedTables | undefined;
  #context: SourceContext | undefined;
  #server: ServerVersion = { product: "MariaDB", version: "" };
  #characterSet = "";
  #collation = "";
  #definitions = new Map<string, string>();
  #tables: readonly TableInfo[] = [];
  #objects: readonly StoredObject[] = [];
  #frozen: Frozen | undefined;
  #longestRowBytes = 0;
  readonly #counts = new Map<string, number>();

  constructor(id: SourceId, config: MariadbConfig) {
    this.id = id;
    this.#connection = mariadbConnection(config);
  }

  async prepare(context: SourceContext): Promise<void> {
    throwIfAborted(context.signal);
    this.#context = context;
    const { database } = this.#connection;
    const control = await MariadbSession.open(this.#connection);
    this.#control = control;
    this.#server = await serverVersion(control, this.#connection);
    const privileges = await readPrivileges(control, database);
    await useDatabase(this.#connection, control);
    const mayRead = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];
    requirePrivileges(privileges, mayRead, this.#connection, "read all of the database");
    if (!privileges.has("EXECUTE") && !privileges.hasOnTable("SELECT", "mysql", "proc")) {
      requirePrivileges(privileges, ["EXECUTE"], this.#connection, "see the database's routines");
    }
    const session = await MariadbSession.open(this.#connection, { raw: true });
    this.#session = session;
    await useDatabase(this.#connection, session);
    const schema = await control.query(
      `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteText(database)}`,
    );
    this.#characterSet = schema[0]?.[0] ?? "utf8mb4";
    this.#collation = schema[0]?.[1] ?? "utf8mb4_general_ci";
    this.#tables = await listTables(control, database);
    refuseUnreadable(this.#tables, this.#connection);
    this.#definitions = await readDefinitions(control, database, tableNames(this.#tables));
    this.#objects = await readVisibleObjects(this.#connection, control, this.#server, privileges.account);
    const locked = lockedTables(this.#tables);
    if (locked.length > 0) {
      requirePrivileges(
        privileges,
        ["LOCK TABLES"],
        this.#connection,
        `lock ${describeTables(locked)} while they are copied`,
      );
      refuseLargeLocked(locked);
      this.#locked = await LockedTables.open(this.#connection, context.workDirectory);
      await useDatabase(this.#connection, this.#locked.session);
    }
    for (const warning of this.#tables.flatMap(warningsOf)) context.warn(warning);
    context.progress({ expectedBytes: this.#tables.reduce((sum, { dataBytes }) => sum + dataBytes, 0) });
  }

  async freeze(deadlineMs: number): Promise<FreezePoint> {
    const { clock } = this.#preparedContext();
    const startedAt = clock.monotonicMs();
    const remaining = (): number => deadlineMs - (clock.monotonicMs() - startedAt);
    try {
      const locked = lockedTables(this.#tables);
      // Half of the time for the lock: those behind it in the queue wait as long.
      if (locked.length > 0) await this.#locked?.lock(this.#watch(), locked, remaining() / 2);
      const at = await withinBudget(this.#watch(), this.#snapshotSession(), remaining(), () =>
        this.#beginSnapshot(() => clock.now()),
      );
      // As listed after the lock: their counters have gone on since they were prepared.
      await this.#copyLocked(lockedTables(this.#tables), remaining);
      const durationMs = clock.monotonicMs() - startedAt;
      return {
        at,
        durationMs,
        facts: {
          method: locked.length > 0 ? "consistent snapshot and table locks" : "consistent snapshot",
          tables: this.#tables.length,
          ...(locked.length > 0 ? { tablesLocked: locked.length } : {}),
        },
      };
    } catch (error) {
      // Whatever was locked or begun ends with its session.
      await Promise.all([this.#locked?.close(), this.#session?.close()]);
      if (isHoldfastError(error, "SERVICE_UNSUPPORTED") || isHoldfastError(error, "FREEZE_FAILED")) throw error;
      throw new HoldfastError(
        "FREEZE_FAILED",
        `MariaDB at ${connectionPlace(this.#connection)}: no point in time could be fixed: ${messageOf(error)}`,
        {
          facts: { deadlineMs: Math.round(deadlineMs) },
          remedy: "Try again; if it goes on, look for long statements with SHOW FULL PROCESSLIST.",
          cause: error,
        },
      );
    }
  }

  async *read(signal: AbortSignal): AsyncIterable<Entry> {
    throwIfAborted(signal);
    const frozen = this.#frozen;
    if (frozen === undefined) throw new TypeError("read comes after freeze");
    const { at } = frozen;
    const abort = (): void => void this.#session?.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await this.#refuseChangedObjects();
      const ofKind = (...kinds: readonly string[]): StoredObject[] =>
        this.#objects.filter(({ kind }) => kinds.includes(kind));
      yield generatedDirectory("", at);
      yield textFile("events.sql", at, formatObjects(ofKind("event")));
      yield textFile("routines.sql", at, formatObjects(ofKind("function", "procedure", "package", "package body")));
      yield textFile("schema.sql", at, schemaScript(this.#connection.database, this.#characterSet, this.#collation));
      if (frozen.sequences.length > 0) yield textFile("sequences.sql", at, sequenceScript(frozen.sequences));
      yield generatedDirectory("tables", at);
      const files = frozen.tables
        .filter(({ type }) => type !== "sequence")
        .map((table) => ({ table, file: tableFileName(table.name) }))
        .sort((a, b) => Buffer.compare(Buffer.from(a.file), Buffer.from(b.file)));
      for (const { table, file } of files) {
        throwIfAborted(signal);
        yield generatedFile(`tables/${file}`, at, (streamSignal) => this.#readTable(table, streamSignal));
      }
      yield textFile("triggers.sql", at, formatObjects(ofKind("trigger")));
      yield textFile("views.sql", at, formatObjects(ofKind("view")));
    } catch (error) {
      throwIfAborted(signal);
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  describe(): SourceDescription {
    const definers = new Set(this.#objects.map(definerOf).filter((definer) => definer !== undefined));
    return {
      kind: "mariadb",
      engineVersion: this.#server.version,
      counts: {
        tables: this.#tables.filter(({ type }) => type !== "sequence").length,
        ...Object.fromEntries([...this.#counts].map(([table, rows]) => [`table:${table}`, rows])),
        objects: this.#objects.length,
      },
      fingerprints: {},
      facts: {
        format: 1,
        product: this.#server.product,
        database: this.#connection.database,
        characterSet: this.#characterSet,
        collation: this.#collation,
        definers: [...definers].sort(),
        longestRowBytes: this.#longestRowBytes,
      },
    };
  }

  async dispose(): Promise<void> {
    const sessions = [this.#session, this.#locked, this.#control];
    this.#session = undefined;
    this.#locked = undefined;
    this.#control = undefined;
    await Promise.all(sessions.map(async (session) => session?.close()));
  }

  /** A dead process leaves nothing: its client programs end with it, and the server gives up what they had. */
  async recover(_context: SourceContext): Promise<void> {
    await this.dispose();
  }

  async #beginSnapshot(now: () => Date): Promise<Date> {
    const session = this.#snapshotSession();
    const { database } = this.#connection;
    await session.queryAll([
      "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
      "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ]);
    const at = now();
    const control = this.#controlSession();
    const rows = await control.query(listTablesStatement(database));
    const tables = tablesFromRows(rows);
    refuseUnreadable(tables, this.#connection);
    const before = new Map(this.#tables.map((table) => [table.name, table]));
    const changed = tables.filter((table) => !sameDefinition(before.get(table.name), table));
    const late = lockedTables(changed);
    if (late.length > 0) {
      throw new HoldfastError(
        "FREEZE_FAILED",
        `${describeTables(late)} was made or changed while the backup was prepared.`,
        {
          remedy: "Take the backup again.",
        },
      );
    }
    if (changed.length > 0) {
      const fresh = await readDefinitions(control, database, tableNames(changed));
      for (const [name, definition] of fresh) this.#definitions.set(name, definition);
      for (const warning of changed.flatMap(warningsOf)) this.#preparedContext().warn(warning);
    }
    const sequences = tables.filter(({ type }) => type === "sequence").map(({ name }) => name);
    this.#tables = tables;
    this.#frozen = { at, tables, sequences: await readSequences(control, database, sequences) };
    return at;
  }

  async #copyLocked(tables: readonly TableInfo[], remaining: () => number): Promise<void> {
    const locked = this.#locked;
    if (locked === undefined) return;
    await withinBudget(this.#watch(), locked.session, remaining(), () =>
      locked.copy(tables, (table) => this.#dump(locked.session, table)),
    );
    await locked.close();
  }

  #dump(session: MariadbSession, table: TableInfo): AsyncIterable<Uint8Array> {
    const { database } = this.#connection;
    const definition = this.#definition(table);
    return dumpTable(session, this.#controlSession(), this.#server, database, table, definition, (result) =>
      this.#onDumped(table, result),
    );
  }

  async *#readTable(table: TableInfo, signal: AbortSignal): AsyncIterable<Uint8Array> {
    if (tableNature(table) === "locked" && this.#locked !== undefined) {
      yield* this.#locked.read(table, signal);
      return;
    }
    const session = this.#snapshotSession();
    const control = this.#controlSession();
    const quoted = `${quoteName(this.#connection.database)}.${quoteName(table.name)}`;
    const abort = (): void => void session.close();
    signal.addEventListener("abort", abort, { once: true });
    try {
      // Only from here to the rollback is the table kept from being altered.
      await session.queryAll(["SAVEPOINT holdfast", `SELECT 1 FROM ${quoted} LIMIT 0`]);
      const now = await readDefinitions(control, this.#connection.database, [table.name]);
      if (now.get(table.name) !== this.#definition(table)) throw changedSince(table.name);
      yield* this.#dump(session, table);
      await session.query("ROLLBACK TO SAVEPOINT holdfast");
    } catch (error) {
      throwIfAborted(signal);
      // Altered, dropped or truncated since: the snapshot has no such table any more.
      if ([1054, 1146, 1412, 1964].includes(serverErrorNumber(error) ?? 0)) throw changedSince(table.name, error);
      throw error;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  #onDumped(table: TableInfo, { rows, longestRowBytes }: TableDumpResult): void {
    this.#counts.set(table.name, rows);
    this.#longestRowBytes = Math.max(this.#longestRowBytes, longestRowBytes);
  }

  /** Definitions take no part in snapshots: they have to be those of `prepare`. */
  async #refuseChangedObjects(): Promise<void> {
    const control = this.#control;
    if (control === undefined) throw new TypeError("read comes before dispose");
    const now = await readObjects(control, this.#connection.database);
    const changed = [...this.#objects, ...now].find(
      (object) =>
        ![this.#objects, now].every((list) => list.some((other) => sameObject(object, other))) &&
        object.kind !== "event",
    );
    if (changed !== undefined) throw changedSince(`${changed.kind} ${changed.name}`);
  }

  #definition(table: TableInfo): string {
    const definition = this.#definitions.get(table.name);
    if (definition === undefined) throw new HoldfastError("INTERNAL", `No definition of table ${table.name} was read.`);
    return definition;
  }

  #watch(): Watch {
    return { connection: this.#connection, control: this.#controlSession(), log: this.#preparedContext().log };
  }

  #preparedContext(): SourceContext {
    if (this.#context === undefined) throw new TypeError("prepare comes first");
    return this.#context;
  }

  #snapshotSession(): MariadbSession {
    if (this.#session === undefined) throw new TypeError("prepare comes first, and nothing after dispose");
    return this.#session;
  }

  #controlSession(): MariadbSession {
    if (this.#control === undefined) throw new TypeError("prepare comes first, and nothing after dispose");
    return this.#control;
  }
}

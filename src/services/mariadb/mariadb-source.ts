import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
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
import { connectionPlace, type MariadbConfig, type MariadbConnection, mariadbConnection } from "./mariadb-config.ts";
import { serverErrorNumber } from "./mariadb-errors.ts";
import {
  permissionMissing,
  readPrivileges,
  requirePrivileges,
  type ServerVersion,
  serverVersion,
} from "./mariadb-server.ts";
import { killQuery, MariadbSession } from "./mariadb-session.ts";
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
import { definerOf, formatObjects, readObjects, sameObject, type StoredObject } from "./stored-object.ts";
import { dumpTable, type TableDumpResult } from "./table-dump.ts";
import { tableFileName } from "./table-file.ts";

/** More than this of rows that no snapshot fixes is not copied inside a hold. */
const lockedBytesLimit = 256 * 1024 * 1024;

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
  #locking: MariadbSession | undefined;
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
    await this.#useDatabase(control);
    const mayRead = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];
    requirePrivileges(privileges, mayRead, this.#connection, "read all of the database");
    if (!privileges.has("EXECUTE") && !privileges.hasOnTable("SELECT", "mysql", "proc")) {
      requirePrivileges(privileges, ["EXECUTE"], this.#connection, "see the database's routines");
    }
    const session = await MariadbSession.open(this.#connection, { raw: true });
    this.#session = session;
    await this.#useDatabase(session);
    const schema = await control.query(
      `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteText(database)}`,
    );
    this.#characterSet = schema[0]?.[0] ?? "utf8mb4";
    this.#collation = schema[0]?.[1] ?? "utf8mb4_general_ci";
    this.#tables = await listTables(control, database);
    this.#refuseUnreadable(this.#tables);
    this.#definitions = await readDefinitions(control, database, tableNames(this.#tables));
    this.#objects = await this.#readObjects(control, privileges.account);
    const locked = this.#tables.filter((table) => table.type !== "sequence" && tableNature(table) === "locked");
    if (locked.length > 0) {
      requirePrivileges(
        privileges,
        ["LOCK TABLES"],
        this.#connection,
        `lock ${describeTables(locked)} while they are copied`,
      );
      refuseLargeLocked(locked);
      this.#locking = await MariadbSession.open(this.#connection, { raw: true });
      await this.#useDatabase(this.#locking);
    }
    for (const table of this.#tables) this.#warnOf(table);
    context.progress({ expectedBytes: this.#tables.reduce((sum, { dataBytes }) => sum + dataBytes, 0) });
  }

  async freeze(deadlineMs: number): Promise<FreezePoint> {
    const { clock } = this.#preparedContext();
    const startedAt = clock.monotonicMs();
    const remaining = (): number => deadlineMs - (clock.monotonicMs() - startedAt);
    try {
      const locked = this.#tables.filter((table) => table.type !== "sequence" && tableNature(table) === "locked");
      // Half of the time for the lock: those behind it in the queue wait as long.
      if (locked.length > 0) await this.#lock(locked, remaining() / 2);
      const at = await this.#within(this.#snapshotSession(), remaining(), () => this.#beginSnapshot(() => clock.now()));
      if (locked.length > 0) {
        await this.#within(this.#lockingSession(), remaining(), () => this.#copyLocked());
        await this.#locking?.close();
        this.#locking = undefined;
      }
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
      await Promise.all([this.#locking?.close(), this.#session?.close()]);
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
    const sessions = [this.#session, this.#locking, this.#control];
    this.#session = undefined;
    this.#locking = undefined;
    this.#control = undefined;
    await Promise.all(sessions.map(async (session) => session?.close()));
  }

  /** A dead process leaves nothing: its client programs end with it, and the server gives up what they had. */
  async recover(_context: SourceContext): Promise<void> {
    await this.dispose();
  }

  async #useDatabase(session: MariadbSession): Promise<void> {
    const place = connectionPlace(this.#connection);
    try {
      await session.query(`USE ${quoteName(this.#connection.database)}`);
    } catch (error) {
      // The server says the same of a database that the user may not see.
      if (serverErrorNumber(error) !== 1044) throw error;
      throw new HoldfastError(
        "SERVICE_DATABASE_MISSING",
        `MariaDB at ${place}: there is no such database, or the user ${this.#connection.user} has no right on it.`,
        { remedy: "Create the database, correct the service's url, or grant the user its rights.", cause: error },
      );
    }
  }

  async #readObjects(session: MariadbSession, account: string): Promise<StoredObject[]> {
    try {
      return await readObjects(session, this.#connection.database);
    } catch (error) {
      if (!isHoldfastError(error, "SERVICE_PERMISSION_MISSING") || error.facts["kind"] === undefined) throw error;
      const [right, on] = this.#server.product === "MariaDB" ? ["SELECT", "mysql.proc"] : ["SHOW_ROUTINE", "*.*"];
      throw permissionMissing(
        account,
        [right],
        on,
        this.#connection,
        `see the text of ${error.facts["kind"]} ${error.facts["name"]}`,
      );
    }
  }

  #refuseUnreadable(tables: readonly TableInfo[]): void {
    const broken = tables.filter(({ engine }) => engine === "");
    if (broken.length === 0) return;
    throw new HoldfastError(
      "SERVICE_UNSUPPORTED",
      `MariaDB at ${connectionPlace(this.#connection)}: the server cannot open ${describeTables(broken)}.`,
      { remedy: "Look into the server's error log; CHECK TABLE and REPAIR TABLE may help." },
    );
  }

  #warnOf(table: TableInfo): void {
    const context = this.#preparedContext();
    if (table.type !== "sequence" && tableNature(table) === "remote") {
      context.warn({
        kind: "table-without-rows",
        message: `The rows of table ${table.name} are kept elsewhere by its engine ${table.engine}: only its definition is stored.`,
        facts: { table: table.name, engine: table.engine },
      });
    }
    if (table.type === "system versioned") {
      context.warn({
        kind: "table-history",
        message: `Of the system-versioned table ${table.name} only the current rows are stored, not their history.`,
        facts: { table: table.name },
      });
    }
  }

  /** Runs `work` on a session and kills its statement on the server when `budgetMs` has passed. */
  async #within<T>(session: MariadbSession, budgetMs: number, work: () => Promise<T>): Promise<T> {
    const late = (): HoldfastError =>
      new HoldfastError("FREEZE_FAILED", `MariaDB at ${connectionPlace(this.#connection)}: the freeze took too long.`, {
        facts: { budgetMs: Math.round(budgetMs) },
        remedy: "Look for long statements and locks with SHOW FULL PROCESSLIST, and try again.",
      });
    if (budgetMs <= 0) throw late();
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(late());
      void this.#kill(session);
    }, budgetMs);
    const working = work();
    // Once late, its own failure is no news.
    working.catch(() => undefined);
    try {
      return await Promise.race([working, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #kill(session: MariadbSession): Promise<void> {
    try {
      if (this.#control !== undefined) await killQuery(this.#control, session.id);
    } catch (error) {
      this.#context?.log.warn("A statement that took too long could not be killed.", { reason: messageOf(error) });
    }
    await session.close();
  }

  async #lock(tables: readonly TableInfo[], budgetMs: number): Promise<void> {
    const session = this.#lockingSession();
    const names = tables.map(({ name }) => `${quoteName(this.#connection.database)}.${quoteName(name)} READ`);
    try {
      await this.#within(session, budgetMs, async () => {
        await session.query(`SET SESSION lock_wait_timeout = ${Math.max(1, Math.ceil(budgetMs / 1000))}`);
        await session.query(`LOCK TABLES ${names.join(", ")}`);
      });
    } catch (error) {
      throw new HoldfastError(
        "FREEZE_FAILED",
        `MariaDB at ${connectionPlace(this.#connection)}: ${describeTables(tables)} could not be locked within ${Math.round(budgetMs)} ms. Nothing is left locked.`,
        {
          facts: { budgetMs: Math.round(budgetMs), tables: tables.length },
          remedy: `Find the long statement with SHOW FULL PROCESSLIST, or convert the tables: ALTER TABLE ${quoteName(tables[0]?.name ?? "")} ENGINE=InnoDB;`,
          cause: error,
        },
      );
    }
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
    this.#refuseUnreadable(tables);
    const before = new Map(this.#tables.map((table) => [table.name, table]));
    const changed = tables.filter((table) => !sameDefinition(before.get(table.name), table));
    const late = changed.filter((table) => table.type !== "sequence" && tableNature(table) === "locked");
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
      for (const table of changed) this.#warnOf(table);
    }
    const sequences = tables.filter(({ type }) => type === "sequence").map(({ name }) => name);
    this.#tables = tables;
    this.#frozen = { at, tables, sequences: await readSequences(control, database, sequences) };
    return at;
  }

  async #copyLocked(): Promise<void> {
    const session = this.#lockingSession();
    const control = this.#controlSession();
    for (const table of this.#tables) {
      if (table.type === "sequence" || tableNature(table) !== "locked") continue;
      await using file = await open(this.#copyPath(table), "wx", 0o600);
      const dump = dumpTable(
        session,
        control,
        this.#server,
        this.#connection.database,
        table,
        this.#definition(table),
        (result) => this.#onDumped(table, result),
      );
      for await (const chunk of dump) await file.writeFile(chunk);
    }
  }

  #copyPath(table: TableInfo): string {
    return join(this.#preparedContext().workDirectory, `locked-${tableFileName(table.name)}`);
  }

  async *#readTable(table: TableInfo, signal: AbortSignal): AsyncIterable<Uint8Array> {
    if (tableNature(table) === "locked") {
      yield* createReadStream(this.#copyPath(table), { signal }) as AsyncIterable<Buffer>;
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
      yield* dumpTable(
        session,
        control,
        this.#server,
        this.#connection.database,
        table,
        this.#definition(table),
        (result) => this.#onDumped(table, result),
      );
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

  #lockingSession(): MariadbSession {
    if (this.#locking === undefined) throw new TypeError("prepare comes first, and nothing after dispose");
    return this.#locking;
  }
}

function sameDefinition(before: TableInfo | undefined, now: TableInfo): boolean {
  return before?.createdAt === now.createdAt && before.engine === now.engine && before.type === now.type;
}

function tableNames(tables: readonly TableInfo[]): string[] {
  return tables.filter(({ type }) => type !== "sequence").map(({ name }) => name);
}

function describeTables(tables: readonly TableInfo[]): string {
  const names = tables.slice(0, 3).map(({ name, engine }) => (engine === "" ? name : `${name} (${engine})`));
  return `${names.join(", ")}${tables.length > 3 ? ` and ${tables.length - 3} more` : ""}`;
}

function refuseLargeLocked(tables: readonly TableInfo[]): void {
  const bytes = tables.reduce((sum, { dataBytes }) => sum + dataBytes, 0);
  if (bytes <= lockedBytesLimit) return;
  throw new HoldfastError(
    "SERVICE_UNSUPPORTED",
    `${describeTables(tables)} take no part in snapshots and are too large (${bytes} bytes) to be copied while requests wait.`,
    {
      facts: { bytes, limitBytes: lockedBytesLimit, tables: tables.length },
      remedy: `Convert them: ALTER TABLE ${quoteName(tables[0]?.name ?? "")} ENGINE=InnoDB;`,
    },
  );
}

function changedSince(what: string, cause?: unknown): HoldfastError {
  return new HoldfastError("FREEZE_FAILED", `${what} was altered or dropped while the backup was being taken.`, {
    facts: { object: what },
    remedy: "Take the backup again when the database's structure is not being changed.",
    cause,
  });
}

function textFile(path: string, at: Date, text: string): Entry {
  return generatedFile(path, at, async function* () {
    yield Buffer.from(text);
  });
}

/** Character set and collation of the database; the name is the user's to choose. */
function schemaScript(database: string, characterSet: string, collation: string): string {
  return `-- Holdfast schema, format 1\nALTER DATABASE ${quoteName(database)} CHARACTER SET ${characterSet} COLLATE ${collation};\n`;
}

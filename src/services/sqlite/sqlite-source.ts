import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { HoldfastError, type SourceId, throwIfAborted } from "../../base/index.ts";
import {
  type Entry,
  type FreezePoint,
  generatedDirectory,
  generatedMetadata,
  type Source,
  type SourceContext,
  type SourceDescription,
} from "../../component/index.ts";
import type { SqliteConfig } from "./sqlite-config.ts";
import {
  beginReading,
  copyDatabase,
  databaseError,
  openDatabase,
  pragma,
  resolveDatabase,
  untilFree,
} from "./sqlite-database.ts";
import { inspectDatabase, type SqliteInspection } from "./sqlite-inspection.ts";

const prepareTimeoutMs = 10_000;
/** What a copy inside the hold is sure to reach; a database too large for it is refused at once, not at the deadline. */
const copyBytesPerMs = 50_000;

/**
 * One SQLite database. In WAL mode the freeze is a read transaction, which holds its snapshot while writers go on; the
 * copy is made from it after the release. In the rollback journal modes a reader keeps writers from committing, so the
 * copy is made inside the hold, bounded by the deadline. Yields `database.sqlite`.
 */
export class SqliteSource implements Source {
  readonly id: SourceId;
  readonly #config: SqliteConfig;
  #context: SourceContext | undefined;
  #database: DatabaseSync | undefined;
  #path = "";
  #journalMode = "";
  #frozenAt: Date | undefined;
  #copying: Promise<void> | undefined;
  #stopped: Error | undefined;
  #owner = { mode: 0o600, uid: 0, gid: 0 };
  #inspection: SqliteInspection | undefined;
  #sizeBytes = 0;

  constructor(id: SourceId, config: SqliteConfig) {
    this.id = id;
    this.#config = config;
  }

  async prepare(context: SourceContext): Promise<void> {
    this.#context = context;
    this.#path = await resolveDatabase(this.#config.path);
    try {
      const database = openDatabase(this.#path);
      this.#database = database;
      await untilFree(prepareTimeoutMs, () => {
        throwIfAborted(context.signal);
        this.#journalMode = String(pragma(database, "journal_mode"));
        beginReading(database);
        database.exec("COMMIT");
      });
      // As much as can be without waiting for anybody: less to carry along while the snapshot is held.
      if (this.#journalMode === "wal") pragma(database, "wal_checkpoint(PASSIVE)");
    } catch (error) {
      throw databaseError(this.#path, error);
    }
    const { mode, uid, gid } = await stat(this.#path);
    this.#owner = { mode: mode & 0o7777, uid, gid };
  }

  async freeze(deadlineMs: number): Promise<FreezePoint> {
    const { context, database } = this.#prepared();
    const startedAt = context.clock.monotonicMs();
    const left = (): number => deadlineMs - (context.clock.monotonicMs() - startedAt);
    try {
      await untilFree(deadlineMs, () => beginReading(database));
    } catch (error) {
      throw freezeFailed(
        this.#path,
        `it stays locked by a writer`,
        "Try again when the long transaction has ended.",
        error,
      );
    }
    this.#frozenAt = context.clock.now();
    const inHold = this.#journalMode !== "wal";
    if (inHold) {
      try {
        await this.#copyInHold(context, database, left);
      } finally {
        database.exec("COMMIT");
      }
    } else {
      this.#copying = this.#copyAfterRelease(context, database);
      // Read waits for it; until then its failure must not count as unhandled.
      this.#copying.catch(() => undefined);
    }
    return {
      at: this.#frozenAt,
      durationMs: context.clock.monotonicMs() - startedAt,
      facts: { method: inHold ? "copy in the hold" : "read transaction", journalMode: this.#journalMode },
    };
  }

  async *read(signal: AbortSignal): AsyncIterable<Entry> {
    const { context } = this.#prepared();
    if (this.#frozenAt === undefined) throw new TypeError("The SQLite source was not frozen.");
    throwIfAborted(signal);
    yield generatedDirectory("", this.#frozenAt);
    await this.#copying;
    throwIfAborted(signal);
    const path = copyPath(context);
    this.#sizeBytes = (await stat(path)).size;
    this.#inspection = await inspectDatabase(path, signal).catch((error: unknown) => {
      throwIfAborted(signal);
      throw databaseError(this.#path, error);
    });
    if (this.#inspection.check !== "ok") {
      context.warn({
        kind: "sqlite-damaged",
        message: `SQLite finds the database ${this.#path} damaged: ${this.#inspection.check}. It was stored as it is.`,
        facts: { path: this.#path },
      });
    }
    yield {
      path: Buffer.from("database.sqlite"),
      metadata: generatedMetadata("file", this.#frozenAt),
      content: { kind: "file", path: Buffer.from(path) },
    };
  }

  describe(): SourceDescription {
    const { tables = {}, userVersion = 0, check = "", sqliteVersion } = this.#inspection ?? {};
    const counts: Record<string, number> = { bytes: this.#sizeBytes };
    for (const [table, rows] of Object.entries(tables)) counts[`table:${table}`] = rows;
    return {
      kind: "sqlite",
      ...(sqliteVersion === undefined ? {} : { engineVersion: sqliteVersion }),
      counts,
      fingerprints: {},
      facts: { ...this.#owner, journalMode: this.#journalMode, userVersion, quickCheck: check },
    };
  }

  async dispose(): Promise<void> {
    this.#stopped ??= new HoldfastError("INTERRUPTED", "The copy was not needed any more.");
    await this.#copying?.catch(() => undefined);
    if (this.#database?.isOpen === true) this.#database.close();
    if (this.#context !== undefined) await removeCopy(this.#context);
  }

  /** Locks of a dead process are gone with it; only its copy is left. */
  async recover(context: SourceContext): Promise<void> {
    await removeCopy(context);
  }

  async #copyInHold(context: SourceContext, database: DatabaseSync, left: () => number): Promise<void> {
    const { size } = await stat(this.#path);
    const remedy =
      "Let the application switch to WAL (PRAGMA journal_mode=WAL), whose freeze takes no time, or raise gateway.holdTimeout.";
    const tooLarge = (): HoldfastError =>
      freezeFailed(this.#path, `it is not in WAL mode and cannot be copied in time (${size} bytes)`, remedy);
    if (size / copyBytesPerMs > left()) throw tooLarge();
    try {
      await copyDatabase(database, copyPath(context), () => this.#stopped ?? (left() <= 0 ? tooLarge() : undefined));
    } catch (error) {
      throw databaseError(this.#path, error);
    }
  }

  async #copyAfterRelease(context: SourceContext, database: DatabaseSync): Promise<void> {
    try {
      await copyDatabase(
        database,
        copyPath(context),
        () => this.#stopped ?? (context.signal.aborted ? interrupted() : undefined),
      );
    } catch (error) {
      throwIfAborted(context.signal);
      throw databaseError(this.#path, error);
    } finally {
      // From here on checkpoints get at the whole log again.
      database.exec("COMMIT");
    }
  }

  #prepared(): { context: SourceContext; database: DatabaseSync } {
    if (this.#context === undefined || this.#database === undefined) {
      throw new TypeError("The SQLite source was not prepared.");
    }
    return { context: this.#context, database: this.#database };
  }
}

const copyPath = (context: SourceContext): string => join(context.workDirectory, "database.sqlite");

async function removeCopy(context: SourceContext): Promise<void> {
  for (const suffix of ["", "-journal", "-wal", "-shm"]) await rm(copyPath(context) + suffix, { force: true });
}

const interrupted = (): HoldfastError => new HoldfastError("INTERRUPTED", "The operation was interrupted.");

function freezeFailed(path: string, why: string, remedy: string, cause?: unknown): HoldfastError {
  return new HoldfastError("FREEZE_FAILED", `The SQLite database ${path} could not be frozen: ${why}.`, {
    facts: { path },
    remedy,
    cause,
  });
}

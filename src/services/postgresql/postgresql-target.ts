import { HoldfastError, isHoldfastError, messageOf, type SourceId, throwIfAborted } from "../../base/index.ts";
import {
  type Restorable,
  type StageReport,
  type StoredContent,
  type StoredEntry,
  type SwapReport,
  type Target,
  type TargetContext,
} from "../../component/index.ts";
import { readServerFacts } from "./postgresql-catalog.ts";
import type { PostgresqlConfig } from "./postgresql-config.ts";
import { PostgresqlConnection } from "./postgresql-connection.ts";
import { dropDatabase, endSessions, openMaintenance, readState, renameAtOnce } from "./postgresql-databases.ts";
import { isSqlError, serviceError, sqlState, SqlError } from "./postgresql-errors.ts";
import { knowsRestrict, loadScript } from "./postgresql-loader.ts";
import { quoteIdentifier, type ScratchNames, scratchNames } from "./postgresql-quoting.ts";
import { PostgresqlSession } from "./postgresql-session.ts";
import { checkMayStage } from "./postgresql-requirements.ts";

/** These go to a maintenance session, before there is a database to load into. */
const clusterFiles = new Set(["1-roles.sql", "2-database.sql"]);
const revertDeadlineMs = 30_000;

/**
 * One PostgreSQL database. Staged into a database of its own; the swap exchanges the names of the two in one
 * transaction. Everything follows from the names of the databases on the server: see `ScratchNames`.
 */
export class PostgresqlTarget implements Target {
  readonly id: SourceId;
  readonly #config: PostgresqlConfig;

  constructor(id: SourceId, config: PostgresqlConfig) {
    this.id = id;
    this.#config = config;
  }

  async stage(context: TargetContext, backup: Restorable): Promise<StageReport> {
    const { connection, names } = this.#at(context);
    if (backup.description.kind !== "postgresql") {
      throw new HoldfastError(
        "SERVICE_UNSUPPORTED",
        `The backup of ${this.id} is of kind "${backup.description.kind}", the service of kind "postgresql".`,
      );
    }
    try {
      const report = await this.#load(context, connection, names, backup);
      throwIfAborted(context.signal);
      return report;
    } catch (error) {
      await this.#dropStaged(connection, names, error);
      if (error instanceof SqlError) {
        throw serviceError(error, `Staging beside PostgreSQL database ${connection.label}`, "SERVICE_STAGE_FAILED");
      }
      throw error;
    }
  }

  async #load(
    context: TargetContext,
    connection: PostgresqlConnection,
    names: ScratchNames,
    backup: Restorable,
  ): Promise<StageReport> {
    await using maintenance = await openMaintenance(connection);
    const state = await readState(maintenance, names);
    if (state.old) throw new TypeError(`${this.id}: stage after swap.`);
    await dropDatabase(maintenance, names.staged);
    const server = await readServerFacts(maintenance);
    await checkMayStage(maintenance, connection, state.live, backup.description);
    if (!state.live && !state.place) await makePlace(maintenance, names);
    const restrict = await knowsRestrict(connection);
    const progress = new StageProgress(context);
    const entries = backup.entries[Symbol.asyncIterator]();
    try {
      const rest = await this.#makeDatabase(context, connection, names, restrict, progress, entries);
      await loadScript(connection, progress.script(rest, entries), restrict, {
        database: names.staged,
        signal: context.signal,
      });
    } finally {
      await entries.return?.();
    }
    throwIfAborted(context.signal);
    await using staged = await PostgresqlSession.open(connection, names.staged);
    await staged.execute("ANALYZE");
    if (server.mayCheckpoint) await staged.execute("CHECKPOINT");
    await staged.close();
    // The swap renames this database: nobody may be in it then.
    await endSessions(maintenance, { databases: [names.staged] });
    return progress.report();
  }

  /** Runs the files for the server as a whole; returns the first entry of the others. */
  async #makeDatabase(
    context: TargetContext,
    connection: PostgresqlConnection,
    names: ScratchNames,
    restrict: boolean,
    progress: StageProgress,
    entries: AsyncIterator<StoredEntry>,
  ): Promise<StoredEntry | undefined> {
    let made = false;
    for (;;) {
      const next = await entries.next();
      throwIfAborted(context.signal);
      const entry = next.done === true ? undefined : next.value;
      const name = entry?.path.toString();
      if (entry !== undefined && name !== undefined && (name === "" || clusterFiles.has(name))) {
        if (entry.content === undefined) continue;
        await loadScript(connection, progress.file(entry.content), restrict, {
          database: await maintenanceName(connection),
          variables: { database: names.staged },
          signal: context.signal,
        });
        made ||= name === "2-database.sql";
        continue;
      }
      if (!made) throw damaged(this.id, "2-database.sql");
      return entry;
    }
  }

  async swap(context: TargetContext, deadlineMs: number): Promise<SwapReport> {
    const { connection, names } = this.#at(context);
    const startedAt = context.clock.monotonicMs();
    const remainingMs = (): number => deadlineMs - (context.clock.monotonicMs() - startedAt);
    try {
      await using maintenance = await openMaintenance(connection, deadlineMs);
      const state = await readState(maintenance, names, { timeoutMs: Math.max(1, remainingMs()) });
      let tries = 0;
      if (state.staged) {
        if (!state.live && !state.place) await makePlace(maintenance, names);
        const renames = [
          state.live ? { from: names.live, to: names.old } : { from: names.place, to: names.absent },
          { from: names.staged, to: names.live },
        ];
        ({ tries } = await renameAtOnce(maintenance, renames, remainingMs()));
      } else if (!state.old && !state.absent) {
        throw new HoldfastError(
          "SERVICE_SWAP_FAILED",
          `Nothing is staged for PostgreSQL database ${connection.label}.`,
        );
      }
      return {
        durationMs: context.clock.monotonicMs() - startedAt,
        facts: { method: "rename in one transaction", tries },
      };
    } catch (error) {
      throw swapError(error, connection, deadlineMs);
    }
  }

  async swapBack(context: TargetContext): Promise<void> {
    const { connection, names } = this.#at(context);
    await this.#inMaintenance(connection, (maintenance) => exchangeBack(maintenance, connection, names));
  }

  async revert(context: TargetContext): Promise<void> {
    const { connection, names } = this.#at(context);
    await this.#inMaintenance(connection, async (maintenance) => {
      await exchangeBack(maintenance, connection, names);
      await dropDatabase(maintenance, names.place);
      await dropDatabase(maintenance, names.absent);
      await dropDatabase(maintenance, names.staged);
    });
  }

  async settle(context: TargetContext): Promise<void> {
    const { connection, names } = this.#at(context);
    await this.#inMaintenance(connection, async (maintenance) => {
      await dropDatabase(maintenance, names.old);
      await dropDatabase(maintenance, names.place);
      await dropDatabase(maintenance, names.absent);
    });
  }

  #at(context: TargetContext): { connection: PostgresqlConnection; names: ScratchNames } {
    const connection = new PostgresqlConnection(this.#config, context.operationId);
    return { connection, names: scratchNames(connection.address.database, context.operationId) };
  }

  async #inMaintenance(
    connection: PostgresqlConnection,
    work: (maintenance: PostgresqlSession) => Promise<void>,
  ): Promise<void> {
    try {
      await using maintenance = await openMaintenance(connection);
      await work(maintenance);
    } catch (error) {
      if (!(error instanceof SqlError)) throw error;
      throw serviceError(error, `Clearing up beside PostgreSQL database ${connection.label}`, "COMMAND_FAILED", {
        remedy: `Give "${connection.address.user}" the right to signal other sessions (GRANT pg_signal_backend TO "${connection.address.user}";) and run the command again.`,
      });
    }
  }

  /** After a failed stage nothing may stay; if even that fails, both errors are told. */
  async #dropStaged(connection: PostgresqlConnection, names: ScratchNames, error: unknown): Promise<void> {
    // Without a server there is nothing to drop, and revert will be called once it is back.
    if (isHoldfastError(error, "SERVICE_UNREACHABLE") || isHoldfastError(error, "TOOL_MISSING")) return;
    if (isHoldfastError(error, "SERVICE_LOGIN_FAILED") || error instanceof TypeError) return;
    try {
      await using maintenance = await openMaintenance(connection);
      await dropDatabase(maintenance, names.staged);
      await dropDatabase(maintenance, names.place);
    } catch (dropError) {
      throw new HoldfastError(
        "RECOVERY_FAILED",
        `${messageOf(error)} After that, the database "${names.staged}" could not be dropped: ${messageOf(dropError)}`,
        { remedy: "The next command tries again; the live database was not changed.", cause: dropError },
      );
    }
  }
}

/** From any state: the old database, or none if there was none, has the live name; the new one may have the staged name. */
async function exchangeBack(
  maintenance: PostgresqlSession,
  connection: PostgresqlConnection,
  names: ScratchNames,
): Promise<void> {
  // A psql of the dead process may still be about to make or fill the staged database.
  await endSessions(maintenance, { applicationName: connection.applicationName });
  const state = await readState(maintenance, names);
  if (state.old) {
    if (state.live && state.staged) await dropDatabase(maintenance, names.staged);
    const renames = [
      ...(state.live ? [{ from: names.live, to: names.staged }] : []),
      { from: names.old, to: names.live },
    ];
    await renameAtOnce(maintenance, renames, revertDeadlineMs);
  } else if (state.absent && state.live && !state.staged) {
    const renames = [
      { from: names.live, to: names.staged },
      { from: names.absent, to: names.place },
    ];
    await renameAtOnce(maintenance, renames, revertDeadlineMs);
  }
}

/** The swap's transaction renames it: so a live database that somebody else made meanwhile is never taken for the restored one. */
async function makePlace(maintenance: PostgresqlSession, names: ScratchNames): Promise<void> {
  await maintenance.execute(`CREATE DATABASE ${quoteIdentifier(names.place)} TEMPLATE template0`);
}

/** Reads the files of a backup one after the other as one script, and counts. */
class StageProgress {
  readonly #context: TargetContext;
  #files = 0;
  #bytes = 0;

  constructor(context: TargetContext) {
    this.#context = context;
  }

  async *file(content: StoredContent): AsyncIterable<Uint8Array> {
    for await (const chunk of this.#context.contents.read(content, this.#context.signal)) {
      this.#bytes += chunk.length;
      this.#context.progress({ bytes: chunk.length });
      yield chunk;
    }
    this.#files += 1;
    this.#context.progress({ files: 1 });
  }

  async *script(first: StoredEntry | undefined, others: AsyncIterator<StoredEntry>): AsyncIterable<Uint8Array> {
    for (let entry = first; entry !== undefined;) {
      throwIfAborted(this.#context.signal);
      if (entry.content !== undefined) yield* this.file(entry.content);
      const next = await others.next();
      entry = next.done === true ? undefined : next.value;
    }
    throwIfAborted(this.#context.signal);
  }

  report(): StageReport {
    return { files: this.#files, bytes: this.#bytes, reusedBytes: 0 };
  }
}

/** Where the scripts for the whole server run. */
async function maintenanceName(connection: PostgresqlConnection): Promise<string> {
  await using session = await openMaintenance(connection);
  return session.database;
}

function damaged(id: SourceId, file: string): HoldfastError {
  return new HoldfastError("SERVICE_STAGE_FAILED", `The backup of ${id} has no file ${file}: it is not complete.`, {
    facts: { file },
    remedy: "Restore another backup, and check the repository with repo:check.",
  });
}

function swapError(error: unknown, connection: PostgresqlConnection, deadlineMs: number): HoldfastError {
  if (isHoldfastError(error, "SERVICE_SWAP_FAILED")) return error;
  const user = connection.address.user;
  const remedy = isSqlError(error, sqlState.insufficientPrivilege)
    ? `As a superuser: GRANT pg_signal_backend TO "${user}"; ALTER ROLE "${user}" CREATEDB; and let "${user}" own the database.`
    : "Stop what keeps connecting to the database without the gateway (crons, workers), or end its prepared transactions, and restore again.";
  return new HoldfastError(
    "SERVICE_SWAP_FAILED",
    `PostgreSQL database ${connection.label} could not be exchanged within ${deadlineMs} ms: ${messageOf(error)}`,
    { facts: { deadlineMs, ...(error instanceof SqlError ? { sqlState: error.sqlState } : {}) }, remedy, cause: error },
  );
}

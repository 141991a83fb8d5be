import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError, messageOf, type SourceId, throwIfAborted } from "../../base/index.ts";
import type { Restorable, StageReport, SwapReport, Target, TargetContext } from "../../component/index.ts";
import {
  applySwap,
  refuseStrandedTables,
  type SchemaNames,
  schemaNames,
  undoSwap,
  whereIsMarker,
} from "./database-swap.ts";
import { stageDatabase } from "./database-stage.ts";
import { type Blocker, describeBlockers, findBlockers } from "./lock-blockers.ts";
import { connectionPlace, type MariadbConfig, type MariadbConnection, mariadbConnection } from "./mariadb-config.ts";
import { schemaExists, serverVersion } from "./mariadb-server.ts";
import { killQuery, type MariadbSession } from "./mariadb-session.ts";
import { endOtherSessions, openInRole, type OperationScope } from "./operation-sessions.ts";
import { quoteName, quoteText } from "./sql-text.ts";
import { SwapJournal } from "./swap-journal.ts";

/** Both of one operation: `work` changes, `control` watches it and kills its statement. */
interface Sessions {
  readonly work: MariadbSession;
  readonly control: MariadbSession;
}

const pingTimeoutMs = 500;

/**
 * A MariaDB or MySQL database as a restore sees it. The backup is loaded into a schema beside the live one; one RENAME TABLE
 * then moves all live tables to a third schema and the staged ones into their place. Triggers, and views, routines and events
 * that differ, are taken off before and put back after it. A marker table that moves along tells whether the rename happened.
 *
 * `stage` leaves two sessions open, so that `swap` and what follows need not connect inside the hold; where they are gone, new
 * ones are opened. `settle`, `swapBack` and `revert` close them. Before anything is changed, whatever a dead process of the same operation
 * left running on the server is ended: see `openInRole`.
 */
export class MariadbTarget implements Target {
  readonly id: SourceId;
  readonly #connection: MariadbConnection;
  #kept: Sessions | undefined;

  constructor(id: SourceId, config: MariadbConfig) {
    this.id = id;
    this.#connection = mariadbConnection(config);
  }

  async stage(context: TargetContext, backup: Restorable): Promise<StageReport> {
    throwIfAborted(context.signal);
    const names = this.#names(context);
    const scope = this.#scope(context);
    await this.#close();
    const control = await openInRole(scope, "control");
    let staged = false;
    try {
      await endOtherSessions(scope, control, ["control"]);
      const server = await serverVersion(control, this.#connection);
      if ((await whereIsMarker(control, names)) === "old") throw new TypeError("stage does not come after swap");
      await this.#refuseOutsideReferences(control);
      await dropSchemas(control, [names.staged]);
      const { record, report } = await stageDatabase(
        { context, scope, connection: this.#connection, server, control, schema: names.staged },
        backup,
      );
      await new SwapJournal(context.workDirectory).writeStage(record);
      await control.query(`CREATE DATABASE IF NOT EXISTS ${quoteName(names.old)}`);
      await control.query(`CREATE TABLE ${names.stagedMarker} (id INT PRIMARY KEY) ENGINE=InnoDB`);
      this.#kept = { control, work: await openInRole(scope, "work") };
      staged = true;
      return report;
    } finally {
      if (!staged) await control.close();
    }
  }

  async swap(context: TargetContext, deadlineMs: number): Promise<SwapReport> {
    const startedAt = context.clock.monotonicMs();
    const names = this.#names(context);
    const journal = new SwapJournal(context.workDirectory);
    const stage = await journal.readStage();
    if (stage === undefined) throw new TypeError("swap comes after stage");
    let late = false;
    let blockers: readonly Blocker[] = [];
    let timer: NodeJS.Timeout | undefined;
    let watching: Promise<void> | undefined;
    try {
      const sessions = await this.#sessions(context);
      const left = deadlineMs - (context.clock.monotonicMs() - startedAt);
      timer = setTimeout(
        () => {
          late = true;
          watching = this.#stop(context, sessions).then((found) => void (blockers = found));
        },
        Math.max(1, left * 0.5),
      );
      // Should the watch itself fail.
      await sessions.work.query(`SET SESSION lock_wait_timeout = ${Math.max(1, Math.ceil(deadlineMs / 1000))}`);
      const facts = await applySwap({ session: sessions.work, names, journal, stage, clock: context.clock });
      return { durationMs: context.clock.monotonicMs() - startedAt, facts };
    } catch (error) {
      await watching;
      await this.#close();
      throw this.#swapFailed(error, late, blockers, deadlineMs);
    } finally {
      clearTimeout(timer);
    }
  }

  async swapBack(context: TargetContext): Promise<void> {
    await this.#undo(context);
  }

  async revert(context: TargetContext): Promise<void> {
    await this.#undo(context, async (work, names) => {
      await refuseStrandedTables(work, names);
      await dropSchemas(work, [names.old, names.staged]);
    });
  }

  /** Exchanges back if that has not been done, then does the rest. */
  async #undo(
    context: TargetContext,
    rest?: (work: MariadbSession, names: SchemaNames) => Promise<void>,
  ): Promise<void> {
    const names = this.#names(context);
    const journal = new SwapJournal(context.workDirectory);
    if (await journal.readSettled()) {
      await this.#close();
      throw new HoldfastError("RECOVERY_FAILED", `The old data of ${names.live} has been dropped already.`, {
        remedy: "Take up the restore where it stopped: it has to be settled, not reverted.",
      });
    }
    try {
      const { work } = await this.#sessions(context);
      await work.query("SET SESSION lock_wait_timeout = DEFAULT");
      const record = await journal.readSwap();
      if (record !== undefined) {
        await undoSwap(work, names, record);
        await journal.removeSwap();
      }
      await rest?.(work, names);
    } finally {
      await this.#close();
    }
  }

  async settle(context: TargetContext): Promise<void> {
    const names = this.#names(context);
    const journal = new SwapJournal(context.workDirectory);
    try {
      const { work } = await this.#sessions(context);
      if (!(await journal.readSettled())) {
        const stage = await journal.readStage();
        if (stage === undefined || (await whereIsMarker(work, names)) !== "old") {
          throw new HoldfastError("RECOVERY_FAILED", `The restore of ${names.live} has not been swapped.`, {
            remedy: "Revert it, and restore again.",
          });
        }
        // Killed after the rename, the swap may still owe its views, routines, triggers and events.
        await applySwap({ session: work, names, journal, stage, clock: context.clock });
        await journal.writeSettled();
      }
      await dropSchemas(work, [names.staged, names.old]);
    } finally {
      await this.#close();
    }
  }

  #names(context: TargetContext): SchemaNames {
    return schemaNames(this.#connection.database, context.operationId);
  }

  #scope({ operationId }: TargetContext): OperationScope {
    return { connection: this.#connection, operationId };
  }

  /** The sessions that were kept, if they still answer, else new ones; no other session of the operation is left then. */
  async #sessions(context: TargetContext): Promise<Sessions> {
    if (this.#kept !== undefined && (await answers(this.#kept))) return this.#kept;
    await this.#close();
    const scope = this.#scope(context);
    const work = await openInRole(scope, "work");
    try {
      const control = await openInRole(scope, "control");
      this.#kept = { work, control };
      await endOtherSessions(scope, control, ["work", "control"]);
    } catch (error) {
      await work.close();
      throw error;
    }
    return this.#kept;
  }

  async #close(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    await Promise.all([kept?.work.close(), kept?.control.close()]);
  }

  /** Ends what `work` is doing, and tells who kept it from being done: that can be seen only while it waits. */
  async #stop(context: TargetContext, { work, control }: Sessions): Promise<Blocker[]> {
    try {
      const blockers = await findBlockers(control, this.#connection, [work.id, control.id]);
      await killQuery(control, work.id);
      return blockers;
    } catch (error) {
      context.log.warn("What blocks the swap could not be found or ended.", { reason: messageOf(error) });
      return [];
    } finally {
      await work.close();
    }
  }

  #swapFailed(error: unknown, late: boolean, blockers: readonly Blocker[], deadlineMs: number): HoldfastError {
    const why = !late
      ? messageOf(error)
      : blockers.length === 0
        ? "it took too long; a connection may be using the tables"
        : `its tables stay in use: ${describeBlockers(blockers)}`;
    const [first] = blockers;
    return new HoldfastError(
      "SERVICE_SWAP_FAILED",
      `MariaDB at ${connectionPlace(this.#connection)}: the tables could not be exchanged: ${why}`,
      {
        facts: {
          deadlineMs: Math.round(deadlineMs),
          ...(first === undefined ? {} : { blockingConnection: first.id, blockingClient: first.client }),
        },
        remedy:
          first === undefined
            ? "Look for open transactions and long statements with SHOW FULL PROCESSLIST, and try again."
            : `Let it end, or end it (KILL ${first.id};), and try again.`,
        cause: error,
      },
    );
  }

  /** Foreign keys of other schemas would follow the live tables to the old schema. */
  async #refuseOutsideReferences(session: MariadbSession): Promise<void> {
    const live = quoteText(this.#connection.database);
    if (!(await schemaExists(session, live))) return;
    const rows = await session.query(
      `SELECT CONCAT(CONSTRAINT_SCHEMA, '.', TABLE_NAME) FROM information_schema.REFERENTIAL_CONSTRAINTS
       WHERE UNIQUE_CONSTRAINT_SCHEMA = ${live} AND CONSTRAINT_SCHEMA <> ${live} LIMIT 1`,
    );
    if (rows.length === 0) return;
    throw new HoldfastError(
      "SERVICE_UNSUPPORTED",
      `Table ${rows[0]?.[0]} has a foreign key into ${this.#connection.database}: it would not survive the exchange of tables.`,
      { remedy: "Drop the foreign key for the time of the restore." },
    );
  }
}

async function answers({ work, control }: Sessions): Promise<boolean> {
  const stop = new AbortController();
  const pings = Promise.all([work.query("DO 0"), control.query("DO 0")]).then(
    () => true,
    () => false,
  );
  const late = delay(pingTimeoutMs, false, { signal: stop.signal }).catch(() => false);
  try {
    return await Promise.race([pings, late]);
  } finally {
    stop.abort();
  }
}

async function dropSchemas(session: MariadbSession, names: readonly string[]): Promise<void> {
  await session.queryAll(
    names.flatMap((name) => [
      // A table of one may refer to one of the other.
      "SET SESSION foreign_key_checks = 0",
      `DROP DATABASE IF EXISTS ${quoteName(name)}`,
    ]),
  );
}

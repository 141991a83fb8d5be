import { HoldfastError, messageOf, type SourceId, throwIfAborted } from "../../base/index.ts";
import type { Restorable, StageReport, SwapReport, Target, TargetContext } from "../../component/index.ts";
import { applySwap, type SchemaNames, schemaNames, undoSwap, whereIsMarker } from "./database-swap.ts";
import { stageDatabase } from "./database-stage.ts";
import { connectionPlace, type MariadbConfig, type MariadbConnection, mariadbConnection } from "./mariadb-config.ts";
import { schemaExists, serverVersion } from "./mariadb-server.ts";
import { killQuery, MariadbSession } from "./mariadb-session.ts";
import { quoteName, quoteText } from "./sql-text.ts";
import { SwapJournal } from "./swap-journal.ts";

/**
 * A MariaDB or MySQL database as a restore sees it. The backup is loaded into a schema beside the live one; one RENAME TABLE
 * then moves all live tables to a third schema and the staged ones into their place. Triggers, and views, routines and events
 * that differ, are taken off before and put back after it. A marker table that moves along tells whether the rename happened.
 */
export class MariadbTarget implements Target {
  readonly id: SourceId;
  readonly #connection: MariadbConnection;

  constructor(id: SourceId, config: MariadbConfig) {
    this.id = id;
    this.#connection = mariadbConnection(config);
  }

  async stage(context: TargetContext, backup: Restorable): Promise<StageReport> {
    throwIfAborted(context.signal);
    const names = this.#names(context);
    await using control = await this.#open();
    const server = await serverVersion(control.session, this.#connection);
    if ((await whereIsMarker(control.session, names)) === "old") {
      throw new TypeError("stage does not come after swap");
    }
    await this.#refuseOutsideReferences(control.session);
    await dropSchemas(control.session, [names.staged]);
    const { record, report } = await stageDatabase(
      { context, connection: this.#connection, server, control: control.session, schema: names.staged },
      backup,
    );
    await new SwapJournal(context.workDirectory).writeStage(record);
    await control.session.query(`CREATE TABLE ${names.stagedMarker} (id INT PRIMARY KEY) ENGINE=InnoDB`);
    return report;
  }

  async swap(context: TargetContext, deadlineMs: number): Promise<SwapReport> {
    const startedAt = context.clock.monotonicMs();
    const names = this.#names(context);
    const journal = new SwapJournal(context.workDirectory);
    const stage = await journal.readStage();
    if (stage === undefined) throw new TypeError("swap comes after stage");
    let late = false;
    let watchdog: MariadbSession | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      await using work = await this.#open();
      watchdog = await MariadbSession.open(this.#connection);
      const killer = watchdog;
      const left = deadlineMs - (context.clock.monotonicMs() - startedAt);
      timer = setTimeout(
        () => {
          late = true;
          // Its statement fails then, and with it the swap; what the kill itself meets is in the log.
          killQuery(killer, work.session.id)
            .catch((error: unknown) =>
              context.log.warn("A statement could not be killed.", { reason: messageOf(error) }),
            )
            .finally(() => void work.session.close());
        },
        Math.max(1, left * 0.8),
      );
      // Those behind us in the queue for a table wait as long as we do.
      await work.session.query(`SET SESSION lock_wait_timeout = ${Math.max(1, Math.floor(deadlineMs / 2000))}`);
      const facts = await applySwap({ session: work.session, names, journal, stage, clock: context.clock });
      return { durationMs: context.clock.monotonicMs() - startedAt, facts };
    } catch (error) {
      const why = late ? "it took too long; a connection may be using the tables" : messageOf(error);
      throw new HoldfastError(
        "SERVICE_SWAP_FAILED",
        `MariaDB at ${connectionPlace(this.#connection)}: the tables could not be exchanged: ${why}`,
        {
          facts: { deadlineMs: Math.round(deadlineMs) },
          remedy: "Look for open transactions and long statements with SHOW FULL PROCESSLIST, and try again.",
          cause: error,
        },
      );
    } finally {
      clearTimeout(timer);
      await watchdog?.close();
    }
  }

  async revert(context: TargetContext): Promise<void> {
    const names = this.#names(context);
    const journal = new SwapJournal(context.workDirectory);
    if (await journal.readSettled()) {
      throw new HoldfastError("RECOVERY_FAILED", `The old data of ${names.live} has been dropped already.`, {
        remedy: "Take up the restore where it stopped: it has to be settled, not reverted.",
      });
    }
    await using control = await this.#open();
    const record = await journal.readSwap();
    if (record !== undefined) await undoSwap(control.session, names, record);
    await dropSchemas(control.session, [names.old, names.staged]);
  }

  async settle(context: TargetContext): Promise<void> {
    const names = this.#names(context);
    const journal = new SwapJournal(context.workDirectory);
    await using control = await this.#open();
    if (!(await journal.readSettled())) {
      const stage = await journal.readStage();
      if (stage === undefined || (await whereIsMarker(control.session, names)) !== "old") {
        throw new HoldfastError("RECOVERY_FAILED", `The restore of ${names.live} has not been swapped.`, {
          remedy: "Revert it, and restore again.",
        });
      }
      // Killed after the rename, the swap may still owe its views, routines, triggers and events.
      await applySwap({ session: control.session, names, journal, stage, clock: context.clock });
      await journal.writeSettled();
    }
    await dropSchemas(control.session, [names.staged, names.old]);
  }

  #names(context: TargetContext): SchemaNames {
    return schemaNames(this.#connection.database, context.operationId);
  }

  async #open(): Promise<{ session: MariadbSession; [Symbol.asyncDispose](): Promise<void> }> {
    const session = await MariadbSession.open(this.#connection);
    return { session, [Symbol.asyncDispose]: () => session.close() };
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

async function dropSchemas(session: MariadbSession, names: readonly string[]): Promise<void> {
  await session.queryAll(
    names.flatMap((name) => [
      // A table of one may refer to one of the other.
      "SET SESSION foreign_key_checks = 0",
      `DROP DATABASE IF EXISTS ${quoteName(name)}`,
    ]),
  );
}

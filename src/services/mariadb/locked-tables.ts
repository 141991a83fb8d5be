import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError } from "../../base/index.ts";
import { connectionPlace, type MariadbConnection } from "./mariadb-config.ts";
import { MariadbSession } from "./mariadb-session.ts";
import type { TableInfo } from "./mariadb-tables.ts";
import { quoteName } from "./sql-text.ts";
import { type Watch, withinBudget } from "./statement-budget.ts";
import { describeTables } from "./table-checks.ts";
import { tableFileName } from "./table-file.ts";

/**
 * Tables that take no part in snapshots (MyISAM, Aria, MEMORY, ...): locked and copied to the work folder inside the hold, in a
 * session of their own, with which the locks end.
 */
export class LockedTables {
  readonly session: MariadbSession;
  readonly #connection: MariadbConnection;
  readonly #folder: string;

  private constructor(session: MariadbSession, connection: MariadbConnection, folder: string) {
    this.session = session;
    this.#connection = connection;
    this.#folder = folder;
  }

  /** `folder` takes the copies. */
  static async open(connection: MariadbConnection, folder: string): Promise<LockedTables> {
    return new LockedTables(await MariadbSession.open(connection, { raw: true }), connection, folder);
  }

  /** @throws HoldfastError FREEZE_FAILED past `budgetMs`, with nothing left locked */
  async lock(watch: Watch, tables: readonly TableInfo[], budgetMs: number): Promise<void> {
    const names = tables.map(({ name }) => `${quoteName(this.#connection.database)}.${quoteName(name)} READ`);
    try {
      await withinBudget(watch, this.session, budgetMs, async () => {
        await this.session.query(`SET SESSION lock_wait_timeout = ${Math.max(1, Math.ceil(budgetMs / 1000))}`);
        await this.session.query(`LOCK TABLES ${names.join(", ")}`);
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

  /** Writes each table's dump, which `dump` reads through this session, to its file. */
  async copy(tables: readonly TableInfo[], dump: (table: TableInfo) => AsyncIterable<Uint8Array>): Promise<void> {
    for (const table of tables) {
      await using file = await open(this.#path(table), "wx", 0o600);
      for await (const chunk of dump(table)) await file.writeFile(chunk);
    }
  }

  /** The dump that was copied; still there after `close`. */
  read(table: TableInfo, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return createReadStream(this.#path(table), { signal });
  }

  /** Lets go of the locks. */
  close(): Promise<void> {
    return this.session.close();
  }

  #path(table: TableInfo): string {
    return join(this.#folder, `locked-${tableFileName(table.name)}`);
  }
}

import { HoldfastError, type Logger, messageOf } from "../../base/index.ts";
import { connectionPlace, type MariadbConnection } from "./mariadb-config.ts";
import { killQuery, type MariadbSession } from "./mariadb-session.ts";

/** What can be done about a statement that takes too long. */
export interface Watch {
  readonly connection: MariadbConnection;
  /** Another session, which kills. */
  readonly control: MariadbSession;
  readonly log: Logger;
}

/**
 * Runs `work` on a session and kills its statement on the server, and the session, when `budgetMs` has passed.
 * @throws HoldfastError FREEZE_FAILED then, and what `work` throws
 */
export async function withinBudget<T>(
  { connection, control, log }: Watch,
  session: MariadbSession,
  budgetMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const late = (): HoldfastError =>
    new HoldfastError("FREEZE_FAILED", `MariaDB at ${connectionPlace(connection)}: the freeze took too long.`, {
      facts: { budgetMs: Math.round(budgetMs) },
      remedy: "Look for long statements and locks with SHOW FULL PROCESSLIST, and try again.",
    });
  if (budgetMs <= 0) throw late();
  const { promise, reject } = Promise.withResolvers<never>();
  const kill = async (): Promise<void> => {
    try {
      await killQuery(control, session.id);
    } catch (error) {
      log.warn("A statement that took too long could not be killed.", { reason: messageOf(error) });
    }
    await session.close();
  };
  const timer = setTimeout(() => {
    reject(late());
    void kill();
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

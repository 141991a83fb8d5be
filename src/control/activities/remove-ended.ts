import type { CatalogDatabase } from "../catalog/catalog-database.ts";

/**
 * Removes activities that ended more than `keepMs` ago by the database's clock, with their logs: the oldest, at most `limit` in
 * one transaction. What is pending or in progress has not ended and stays. Several processes may do it at once.
 * @returns how many there were
 */
export function removeEnded(
  database: CatalogDatabase,
  { keepMs, limit }: { readonly keepMs: number; readonly limit: number },
): Promise<number> {
  return database.change(async (queries) => {
    const before = (await database.nowMs(queries)) - keepMs;
    let find = queries
      .selectFrom("activities")
      .select(["project", "id"])
      .where("ended_at", "<", before)
      .orderBy("ended_at")
      .limit(limit);
    // What another process is just removing is left to it.
    if (database.kind === "postgresql") find = find.forUpdate().skipLocked();
    const rows = await find.execute();
    for (const [project, own] of Map.groupBy(rows, (row) => row.project)) {
      const ids = own.map(({ id }) => id);
      await queries.deleteFrom("activity_log").where("project", "=", project).where("activity", "in", ids).execute();
      await queries.deleteFrom("activities").where("project", "=", project).where("id", "in", ids).execute();
    }
    return rows.length;
  });
}

import { type RawBuilder, sql } from "kysely";
import type { ActivityRow, CatalogKind } from "../catalog/catalog-schema.ts";

/**
 * A column of activities that SQLite looks for no index by. It knows nothing of how many rows there are, and takes the index
 * with the most columns, also where that is of a whole project and another one of a handful. PostgreSQL knows.
 */
export const unindexed = <C extends keyof ActivityRow>(kind: CatalogKind, name: C): RawBuilder<ActivityRow[C]> =>
  kind === "sqlite" ? sql<ActivityRow[C]>`+${sql.ref(name)}` : sql<ActivityRow[C]>`${sql.ref(name)}`;

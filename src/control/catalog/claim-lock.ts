import { sql } from "kysely";
import type { CatalogKind, CatalogQueries } from "./catalog-schema.ts";

/** Until the end of the transaction nobody else claims an activity. On SQLite a transaction that writes is alone anyway. */
export async function lockClaims(transaction: CatalogQueries, kind: CatalogKind): Promise<void> {
  if (kind === "sqlite") return;
  // "hfclaims" in hexadecimal, cut to 63 bits: nobody else's number.
  await sql`SELECT pg_advisory_xact_lock(${sql.raw("x'6866636c61696d73'::bigint")})`.execute(transaction);
}

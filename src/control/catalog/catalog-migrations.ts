import { type RawBuilder, sql } from "kysely";
import { HoldfastError } from "../../base/index.ts";
import type { CatalogKind, CatalogQueries } from "./catalog-schema.ts";
import { backups } from "./migrations/0001-backups.ts";
import { activities } from "./migrations/0002-activities.ts";
import { access } from "./migrations/0003-access.ts";
import { activityListing } from "./migrations/0004-activity-listing.ts";
import { activityEnds } from "./migrations/0005-activity-ends.ts";
import { environmentListing } from "./migrations/0006-environment-listing.ts";
import { type Migration, typeNames } from "./migrations/migration.ts";

/** In order, each run once; never edit one that was released. A catalog's version is the number of those it has seen. */
const migrations: readonly Migration[] = [
  backups,
  activities,
  access,
  activityListing,
  activityEnds,
  environmentListing,
];

/** Where each database keeps the version, and how a migration keeps others out. */
interface VersionStore {
  read(queries: CatalogQueries): Promise<number>;
  write(queries: CatalogQueries, version: number): Promise<void>;
  /** Inside the migration's transaction, before anything else. */
  lock(queries: CatalogQueries): Promise<void>;
}

const versionStores: Record<CatalogKind, VersionStore> = {
  sqlite: {
    read: async (queries) => (await firstRow(queries, sql<{ user_version: number }>`PRAGMA user_version`)).user_version,
    write: async (queries, version) => {
      await sql.raw(`PRAGMA user_version = ${version}`).execute(queries);
    },
    // BEGIN IMMEDIATE has done it.
    lock: async () => undefined,
  },
  postgresql: {
    read: async (queries) => {
      const { found } = await firstRow(
        queries,
        // Not to_regclass: that goes by what this connection has cached, before it waited for the lock.
        sql<{ found: boolean }>`SELECT EXISTS (
          SELECT FROM pg_class WHERE relname = 'catalog_version' AND pg_table_is_visible(oid)) AS found`,
      );
      if (!found) return 0;
      const { rows } = await sql<{ version: number }>`SELECT version FROM catalog_version`.execute(queries);
      return rows[0]?.version ?? 0;
    },
    write: async (queries, version) => {
      await sql`INSERT INTO catalog_version (version) VALUES (${version})
        ON CONFLICT (only_row) DO UPDATE SET version = excluded.version`.execute(queries);
    },
    lock: async (queries) => {
      // "holdfast" in hexadecimal, cut to 63 bits: nobody else's number.
      await sql`SELECT pg_advisory_xact_lock(${sql.raw("x'686f6c6466617374'::bigint")})`.execute(queries);
      // Before the version is read: without a statement that locks a table, the session would go on believing that there
      // is none, as it did before it waited.
      await sql`CREATE TABLE IF NOT EXISTS catalog_version (
        only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row), version BIGINT NOT NULL)`.execute(queries);
    },
  },
};

async function firstRow<Row>(queries: CatalogQueries, query: RawBuilder<Row>): Promise<Row> {
  const row = (await query.execute(queries)).rows[0];
  if (row === undefined) throw new HoldfastError("STATE_UNUSABLE", "The catalog does not say of which version it is.");
  return row;
}

/**
 * Brings the catalog up to date; safe when several processes do it at once.
 * @param name as people know the catalog, for messages
 * @throws HoldfastError STATE_UNUSABLE; what the database threw
 */
export async function migrate(queries: CatalogQueries, kind: CatalogKind, name: string): Promise<void> {
  const store = versionStores[kind];
  const before = await store.read(queries);
  assertKnown(before, name);
  if (before === migrations.length) return;
  await queries.transaction().execute(async (transaction) => {
    await store.lock(transaction);
    // Another process may have migrated while this one waited for the lock.
    const version = await store.read(transaction);
    assertKnown(version, name);
    if (version === migrations.length) return;
    for (const migration of migrations.slice(version)) {
      for (const statement of migration(typeNames[kind])) await sql.raw(statement).execute(transaction);
    }
    await store.write(transaction, migrations.length);
  });
}

function assertKnown(version: number, name: string): void {
  if (version <= migrations.length) return;
  throw new HoldfastError(
    "STATE_UNUSABLE",
    `The catalog ${name} is of version ${version}; this program knows versions up to ${migrations.length}.`,
    { facts: { catalog: name, version }, remedy: "Use the newer Holdfast that wrote it." },
  );
}

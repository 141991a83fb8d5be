import type { Kysely } from "kysely";

/** Which database keeps the catalog. The queries are the same; what differs is in `dialect/` and in the migrations' types. */
export type CatalogKind = "sqlite" | "postgresql";

/** The catalog's tables, as `catalog-migrations.ts` makes them. Times are milliseconds since 1970. */
export interface CatalogTables {
  readonly backups: BackupRow;
  readonly environments: EnvironmentRow;
}

export interface BackupRow {
  readonly project: string;
  readonly id: string;
  readonly environment: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly status: string;
  /** The rest of the backup, see `backup-record.ts`. */
  readonly record: string;
}

export interface EnvironmentRow {
  readonly project: string;
  readonly id: string;
  readonly status: string;
  readonly updated_at: number;
}

export type CatalogQueries = Kysely<CatalogTables>;

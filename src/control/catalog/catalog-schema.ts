import type { Kysely } from "kysely";
import type { AccessTables } from "../access/access-schema.ts";

/** Which database keeps the catalog. The queries are the same; what differs is in `dialect/` and in the migrations' types. */
export type CatalogKind = "sqlite" | "postgresql";

/** The catalog's tables, as `migrations/` makes them. Times are milliseconds since 1970. */
export interface CatalogTables extends AccessTables {
  readonly backups: BackupRow;
  readonly projects: ProjectRow;
  readonly environments: EnvironmentRow;
  readonly settings: SettingRow;
  readonly activities: ActivityRow;
  readonly activity_log: ActivityLogRow;
  readonly audit: AuditRow;
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

export interface ProjectRow {
  readonly id: string;
  readonly title: string;
  /** 1 while the configuration has it. */
  readonly declared: number;
  readonly created_at: number;
  readonly updated_at: number;
}

export interface EnvironmentRow {
  readonly project: string;
  readonly id: string;
  readonly status: string;
  readonly updated_at: number;
  readonly title: string;
  readonly type: string;
  readonly parent: string | null;
  /** 1 while the configuration has it. */
  readonly declared: number;
  readonly created_at: number;
}

export interface SettingRow {
  readonly project: string;
  readonly key: string;
  /** JSON. */
  readonly value: string;
  readonly updated_at: number;
}

export interface ActivityRow {
  readonly project: string;
  readonly id: string;
  readonly environment: string;
  readonly type: string;
  readonly state: string;
  readonly result: string | null;
  /** How it ended, beyond `state` and `result`. */
  readonly outcome: string | null;
  readonly failure_code: string | null;
  readonly failure_message: string | null;
  /** JSON objects. */
  readonly parameters: string;
  readonly payload: string;
  readonly timings: string;
  readonly text: string;
  readonly percent: number;
  readonly created_by: string;
  readonly created_at: number;
  readonly updated_at: number;
  readonly started_at: number | null;
  /** Null while it is pending or in progress. */
  readonly ended_at: number | null;
  readonly cancel_requested_at: number | null;
  /** No two activities of an environment have the same one: a due time, a client's key. */
  readonly once_key: string | null;
  /** Lower goes first. */
  readonly priority: number;
  /** The repository that it works on, for the cap of each. */
  readonly storage: string;
  readonly available_at: number;
  /** How often it was claimed; grows with each claim, and a worker with an older one may not write. */
  readonly fence: number;
  /** Claims whose worker was lost. */
  readonly losses: number;
  readonly worker: string | null;
  /** The state folder that has the journal of what the worker does. */
  readonly place: string | null;
  readonly lease_until: number | null;
  /** 1 once what it does took effect and only the end is not recorded yet. */
  readonly finished: number;
}

export interface ActivityLogRow {
  readonly project: string;
  readonly activity: string;
  readonly sequence: number;
  readonly at: number;
  readonly message: string;
}

export interface AuditRow {
  readonly id: string;
  readonly at: number;
  readonly project: string | null;
  readonly environment: string | null;
  /** The user's id. */
  readonly actor: string;
  readonly actor_name: string;
  /** Where the request came from; null for the server itself. */
  readonly address: string | null;
  /** "environment.backup", "user.create". */
  readonly action: string;
  /** What it was done to: an activity's, backup's or user's id. */
  readonly target: string | null;
  /** JSON object, without secrets. */
  readonly detail: string;
}

export type CatalogQueries = Kysely<CatalogTables>;

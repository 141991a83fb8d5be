import type { BackupId, Clock, EnvironmentId, ProjectId } from "../../base/index.ts";
import type { ActivityQueue } from "../activities/activity-queue.ts";
import type { Access } from "../access/access.ts";
import type { ActivityStore } from "../activities/activity-store.ts";
import type { ProjectStore } from "../projects/project-store.ts";
import type { Backup, BackupStates, Catalog, EnvironmentStatus } from "../../engine/index.ts";

/** The environments' statuses; the configuration gives the first one. */
export interface EnvironmentStates {
  /** The stored status; `initial` is stored and returned if there is none. */
  environmentStatus(
    project: ProjectId,
    environment: EnvironmentId,
    initial: EnvironmentStatus,
  ): Promise<EnvironmentStatus>;
  setEnvironmentStatus(project: ProjectId, environment: EnvironmentId, status: EnvironmentStatus): Promise<void>;
}

export interface OpenCatalog extends Catalog, BackupStates, EnvironmentStates {
  /** The newest complete backup of an environment. */
  latestBackup(project: ProjectId, environment: EnvironmentId): Promise<Backup | undefined>;
  /** Those of these backups that there are. */
  backupsOf(project: ProjectId, ids: readonly BackupId[]): Promise<ReadonlyMap<BackupId, Backup>>;
  readonly access: Access;
  readonly activities: ActivityStore;
  readonly projects: ProjectStore;
  /** For workers. */
  readonly queue: ActivityQueue;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Where a catalog is: a file on this machine, or a PostgreSQL database that several machines use. */
export type CatalogPlace =
  | {
      /** Absolute path; made with mode 0600 if missing. Its folder exists. */
      readonly file: string;
    }
  | {
      /** "postgresql://user:password@host/database"; the tables are made in the first schema of the user's search path. */
      readonly url: string;
    };

export interface OpenCatalogOptions {
  readonly clock: Clock;
  /** How long a call waits: for another process's write, for the server's answer. Default 10 s. */
  readonly timeoutMs?: number;
}

/**
 * Opens the catalog and brings its tables up to date. What opens it is loaded now, since it takes a process longer to load
 * than all else that it needs for printing a help text.
 * @throws HoldfastError STATE_UNUSABLE
 */
export async function openCatalog(place: CatalogPlace, options: OpenCatalogOptions): Promise<OpenCatalog> {
  if ("file" in place) return (await import("./sqlite-catalog.ts")).openSqliteCatalog({ ...options, ...place });
  return (await import("./postgresql-catalog.ts")).openPostgresqlCatalog({ ...options, ...place });
}

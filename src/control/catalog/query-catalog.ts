import type { BackupId, EnvironmentId, OperationId, ProjectId } from "../../base/index.ts";
import type { Backup, EnvironmentStatus } from "../../engine/index.ts";
import { ActivityQueue } from "../activities/activity-queue.ts";
import { type Access, openAccess } from "../access/access.ts";
import { ActivityStore } from "../activities/activity-store.ts";
import { ProjectStore } from "../projects/project-store.ts";
import { decodeBackup, encodeBackup } from "./backup-record.ts";
import type { CatalogDatabase } from "./catalog-database.ts";
import type { BackupRow, CatalogQueries, EnvironmentRow } from "./catalog-schema.ts";
import type { OpenCatalog } from "./open-catalog.ts";

/** The catalog's queries, the same for every database. */
export class QueryCatalog implements OpenCatalog {
  readonly access: Access;
  readonly activities: ActivityStore;
  readonly projects: ProjectStore;
  readonly queue: ActivityQueue;
  readonly #database: CatalogDatabase;

  constructor(database: CatalogDatabase) {
    this.#database = database;
    this.access = openAccess(database);
    this.activities = new ActivityStore(database);
    this.projects = new ProjectStore(database);
    this.queue = new ActivityQueue(database);
  }

  insert(backup: Backup): Promise<void> {
    return this.#database.use(async (queries) => {
      await insertBackups(queries, [backup]);
    });
  }

  list(project: ProjectId, environment?: EnvironmentId): Promise<readonly Backup[]> {
    return this.#database.use(async (queries) => {
      let query = queries
        .selectFrom("backups")
        .select(["record", "status", "updated_at"])
        .where("project", "=", project)
        .orderBy("created_at", "desc")
        .orderBy("id", "desc");
      if (environment !== undefined) query = query.where("environment", "=", environment);
      return (await query.execute()).map(backupOf);
    });
  }

  latestBackup(project: ProjectId, environment: EnvironmentId): Promise<Backup | undefined> {
    return this.#database.use(async (queries) => {
      const row = await queries
        .selectFrom("backups")
        .select(["record", "status", "updated_at"])
        .where("project", "=", project)
        .where("environment", "=", environment)
        .where("status", "=", "CREATED")
        .orderBy("created_at", "desc")
        .orderBy("id", "desc")
        .limit(1)
        .executeTakeFirst();
      return row === undefined ? undefined : backupOf(row);
    });
  }

  get(project: ProjectId, id: BackupId): Promise<Backup | undefined> {
    return this.#database.use(async (queries) => {
      const row = await queries
        .selectFrom("backups")
        .select(["record", "status", "updated_at"])
        .where("project", "=", project)
        .where("id", "=", id)
        .executeTakeFirst();
      return row === undefined ? undefined : backupOf(row);
    });
  }

  backupsOf(project: ProjectId, ids: readonly BackupId[]): Promise<ReadonlyMap<BackupId, Backup>> {
    if (ids.length === 0) return Promise.resolve(new Map());
    return this.#database.use(async (queries) => {
      const rows = await queries
        .selectFrom("backups")
        .select(["record", "status", "updated_at"])
        .where("project", "=", project)
        .where("id", "in", ids)
        .execute();
      return new Map(rows.map(backupOf).map((backup) => [backup.id, backup]));
    });
  }

  setStatus(project: ProjectId, id: BackupId, status: Backup["status"]): Promise<void> {
    return this.#database.use(async (queries) => {
      await queries
        .updateTable("backups")
        .set({ status, updated_at: this.#nowMs() })
        .where("project", "=", project)
        .where("id", "=", id)
        .execute();
    });
  }

  remove(project: ProjectId, id: BackupId): Promise<void> {
    return this.#database.use(async (queries) => {
      await queries.deleteFrom("backups").where("project", "=", project).where("id", "=", id).execute();
    });
  }

  operationFinished(project: ProjectId, operation: OperationId): Promise<void> {
    return this.#database.use(async (queries) => {
      await queries
        .updateTable("activities")
        .set({ finished: 1 })
        .where("project", "=", project)
        .where("id", "=", operation)
        .execute();
    });
  }

  backupStates(project: ProjectId): Promise<ReadonlyMap<BackupId, Pick<Backup, "status" | "updatedAt">>> {
    return this.#database.use(async (queries) => {
      const rows = await queries
        .selectFrom("backups")
        .select(["id", "status", "updated_at"])
        .where("project", "=", project)
        .execute();
      return new Map(rows.map((row) => [row.id as BackupId, stateOf(row)]));
    });
  }

  environmentStatus(
    project: ProjectId,
    environment: EnvironmentId,
    initial: EnvironmentStatus,
  ): Promise<EnvironmentStatus> {
    return this.#database.use(async (queries) => {
      await queries
        .insertInto("environments")
        .values(undeclaredEnvironment(project, environment, initial, this.#nowMs()))
        .onConflict((conflict) => conflict.columns(["project", "id"]).doNothing())
        .execute();
      const row = await queries
        .selectFrom("environments")
        .select("status")
        .where("project", "=", project)
        .where("id", "=", environment)
        .executeTakeFirst();
      return (row?.status ?? initial) as EnvironmentStatus;
    });
  }

  setEnvironmentStatus(project: ProjectId, environment: EnvironmentId, status: EnvironmentStatus): Promise<void> {
    return this.#database.use(async (queries) => {
      await queries
        .insertInto("environments")
        .values(undeclaredEnvironment(project, environment, status, this.#nowMs()))
        .onConflict((conflict) =>
          conflict.columns(["project", "id"]).doUpdateSet((row) => ({
            status: row.ref("excluded.status"),
            updated_at: row.ref("excluded.updated_at"),
          })),
        )
        .execute();
    });
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  #nowMs(): number {
    return this.#database.clock.now().getTime();
  }
}

/** Of an environment that was never declared: an operation met it before `init` or the server did. */
function undeclaredEnvironment(
  project: ProjectId,
  id: EnvironmentId,
  status: EnvironmentStatus,
  now: number,
): EnvironmentRow {
  return {
    project,
    id,
    status,
    title: id,
    type: "development",
    parent: null,
    declared: 0,
    created_at: now,
    updated_at: now,
  };
}

/** A row that is there is replaced. */
async function insertBackups(queries: CatalogQueries, backups: readonly Backup[]): Promise<void> {
  await queries
    .insertInto("backups")
    .values(backups.map(rowOf))
    .onConflict((conflict) =>
      conflict.columns(["project", "id"]).doUpdateSet((row) => ({
        environment: row.ref("excluded.environment"),
        created_at: row.ref("excluded.created_at"),
        updated_at: row.ref("excluded.updated_at"),
        status: row.ref("excluded.status"),
        record: row.ref("excluded.record"),
      })),
    )
    .execute();
}

const rowOf = (backup: Backup): BackupRow => ({
  project: backup.project,
  id: backup.id,
  environment: backup.environment,
  created_at: backup.createdAt.getTime(),
  updated_at: backup.updatedAt.getTime(),
  status: backup.status,
  record: encodeBackup(backup),
});

/** Status and time of change are columns, since they change; the rest is the record as it was inserted. */
function backupOf(row: Pick<BackupRow, "record" | "status" | "updated_at">): Backup {
  return { ...decodeBackup(row.record), ...stateOf(row) };
}

const stateOf = (row: Pick<BackupRow, "status" | "updated_at">): Pick<Backup, "status" | "updatedAt"> => ({
  status: row.status as Backup["status"],
  updatedAt: new Date(row.updated_at),
});

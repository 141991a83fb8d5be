import { chmod, open } from "node:fs/promises";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  type BackupId,
  type Clock,
  type EnvironmentId,
  HoldfastError,
  messageOf,
  type ProjectId,
  systemErrorCode,
} from "../../base/index.ts";
import type { Backup, Catalog, EnvironmentStatus } from "../../engine/index.ts";
import { decodeBackup, encodeBackup } from "./backup-record.ts";
import { migrate } from "./migrations.ts";

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

export interface SqliteCatalog extends Catalog, EnvironmentStates {
  close(): void;
}

export interface OpenCatalogOptions {
  /** Absolute path; made with mode 0600 if missing. Its folder exists. */
  readonly file: string;
  readonly clock: Clock;
  /** How long a call waits for another process's write. Default 10 s. */
  readonly busyTimeoutMs?: number;
}

/**
 * The catalog in an SQLite file: WAL, synchronous FULL, so that what a call has resolved survives a power cut. Several
 * processes may have it open. @throws HoldfastError STATE_UNUSABLE
 */
export async function openSqliteCatalog(options: OpenCatalogOptions): Promise<SqliteCatalog> {
  const { file } = options;
  let database: DatabaseSync | undefined;
  try {
    // SQLite gives its -wal and -shm files the mode of the database, so that has to be right before they are made.
    await (await open(file, "a", 0o600)).close();
    await chmod(file, 0o600);
    database = new DatabaseSync(file, { timeout: options.busyTimeoutMs ?? 10_000 });
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    migrate(database, file);
    return new Connection(database, options.clock, file);
  } catch (error) {
    database?.close();
    if (error instanceof HoldfastError) throw error;
    throw unusable(file, error);
  }
}

function unusable(file: string, error: unknown): HoldfastError {
  const missing = systemErrorCode(error) === "ENOENT";
  return new HoldfastError("STATE_UNUSABLE", `The catalog ${file} cannot be used: ${messageOf(error)}`, {
    facts: { file },
    remedy: missing
      ? "Make the state folder:  holdfast init"
      : "Look at the file's owner and the room on its disk. The repository has everything that the catalog has.",
    cause: error,
  });
}

class Connection implements SqliteCatalog {
  readonly #database: DatabaseSync;
  readonly #clock: Clock;
  readonly #file: string;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync, clock: Clock, file: string) {
    this.#database = database;
    this.#clock = clock;
    this.#file = file;
  }

  async insert(backup: Backup): Promise<void> {
    this.#use(
      `INSERT INTO backups (project, id, environment, created_at, updated_at, status, record)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (project, id) DO UPDATE SET environment = excluded.environment, created_at = excluded.created_at,
         updated_at = excluded.updated_at, status = excluded.status, record = excluded.record`,
      (statement) =>
        statement.run(
          backup.project,
          backup.id,
          backup.environment,
          backup.createdAt.getTime(),
          backup.updatedAt.getTime(),
          backup.status,
          encodeBackup(backup),
        ),
    );
  }

  async list(project: ProjectId, environment?: EnvironmentId): Promise<readonly Backup[]> {
    const columns = "SELECT record, status, updated_at FROM backups";
    const order = "ORDER BY created_at DESC, id DESC";
    const rows =
      environment === undefined
        ? this.#use(`${columns} WHERE project = ? ${order}`, (statement) => statement.all(project))
        : this.#use(`${columns} WHERE project = ? AND environment = ? ${order}`, (statement) =>
            statement.all(project, environment),
          );
    return rows.map(backupOf);
  }

  async get(project: ProjectId, id: BackupId): Promise<Backup | undefined> {
    const row = this.#use("SELECT record, status, updated_at FROM backups WHERE project = ? AND id = ?", (statement) =>
      statement.get(project, id),
    );
    return row === undefined ? undefined : backupOf(row);
  }

  async setStatus(project: ProjectId, id: BackupId, status: Backup["status"]): Promise<void> {
    this.#use("UPDATE backups SET status = ?, updated_at = ? WHERE project = ? AND id = ?", (statement) =>
      statement.run(status, this.#clock.now().getTime(), project, id),
    );
  }

  async remove(project: ProjectId, id: BackupId): Promise<void> {
    this.#use("DELETE FROM backups WHERE project = ? AND id = ?", (statement) => statement.run(project, id));
  }

  async environmentStatus(
    project: ProjectId,
    environment: EnvironmentId,
    initial: EnvironmentStatus,
  ): Promise<EnvironmentStatus> {
    this.#use(
      "INSERT INTO environments (project, id, status, updated_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
      (statement) => statement.run(project, environment, initial, this.#clock.now().getTime()),
    );
    const row = this.#use("SELECT status FROM environments WHERE project = ? AND id = ?", (statement) =>
      statement.get(project, environment),
    );
    return (row?.["status"] ?? initial) as EnvironmentStatus;
  }

  async setEnvironmentStatus(project: ProjectId, environment: EnvironmentId, status: EnvironmentStatus): Promise<void> {
    this.#use(
      `INSERT INTO environments (project, id, status, updated_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (project, id) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at`,
      (statement) => statement.run(project, environment, status, this.#clock.now().getTime()),
    );
  }

  close(): void {
    this.#statements.clear();
    if (this.#database.isOpen) this.#database.close();
  }

  #use<T>(sql: string, run: (statement: StatementSync) => T): T {
    try {
      let statement = this.#statements.get(sql);
      if (statement === undefined) {
        statement = this.#database.prepare(sql);
        this.#statements.set(sql, statement);
      }
      return run(statement);
    } catch (error) {
      throw unusable(this.#file, error);
    }
  }
}

/** Status and time of change are columns, since they change; the rest is the record as it was inserted. */
function backupOf(row: Record<string, unknown>): Backup {
  return {
    ...decodeBackup(String(row["record"])),
    status: row["status"] as Backup["status"],
    updatedAt: new Date(Number(row["updated_at"])),
  };
}

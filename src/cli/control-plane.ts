import type { BackupId, EnvironmentId, OperationId, ProjectId, SourceId } from "../base/index.ts";
import type { Activity, DataRetention } from "../control/index.ts";
import type {
  ArchiveSummary,
  Backup,
  BackupArchive,
  BackupFile,
  EnvironmentStatus,
  EnvironmentType,
  RestoreOutline,
  RestoreReport,
} from "../engine/index.ts";
import type { ProgressDisplay } from "./progress/progress-display.ts";

/**
 * One project's environments, backups and activities, as commands work on them: in this process on the catalog and the
 * repository, or as a server's client. What commands print, ask and return is the same either way. Close it.
 */
export interface ControlPlane extends AsyncDisposable {
  readonly project: { readonly id: ProjectId; readonly title: string };

  /** By id, as far as the caller may see them. */
  environments(): Promise<readonly ListedEnvironment[]>;

  environmentInfo(environment: EnvironmentId): Promise<EnvironmentInfo>;
  /** Without `wait` it may not have happened when this returns. @throws HoldfastError ENVIRONMENT_*, ACCESS_DENIED */
  changeStatus(environment: ListedEnvironment, change: StatusChange, run: Run): Promise<"changed" | "requested">;

  /** Newest first. @throws HoldfastError ACCESS_DENIED, REPOSITORY_MISSING before `init` */
  backups(environment: EnvironmentId): Promise<readonly ListedBackup[]>;
  /** Of backups that were begun in the background of this machine and are not complete; for people. */
  backgroundNotes(): Promise<readonly string[]>;
  /**
   * The backup of an id; without one, and for "latest", the newest that passes `accept`.
   * @throws HoldfastError BACKUP_NOT_FOUND, ACCESS_DENIED
   */
  findBackup(
    environment: EnvironmentId,
    wanted: string | undefined,
    accept?: (backup: Backup) => boolean,
  ): Promise<ListedBackup>;
  /** What it takes in the repository; null if that does not know it. @throws HoldfastError REPOSITORY_*, STORAGE_* */
  backupSizes(backup: Backup): Promise<BackupSizes | null>;

  /** What lies in a directory of the backup, or the one file. @throws HoldfastError SOURCE_NOT_FOUND, ACCESS_DENIED */
  backupFiles(backup: Backup, path: Buffer): Promise<readonly BackupFile[]>;
  /** A tar archive of these paths, of everything for the empty one. @throws as `backupFiles`, before the first byte */
  backupArchive(backup: Backup, paths: readonly Buffer[], onProgress: (bytes: number) => void): Promise<TakenArchive>;

  /** What a backup would do. @throws what `createBackup` refuses with */
  planBackup(environment: ListedEnvironment, options: { readonly live: boolean }): Promise<BackupPlan>;
  /** @throws HoldfastError ENVIRONMENT_*, MANUAL_BACKUP_FORBIDDEN, ACCESS_DENIED, and what a backup fails with */
  createBackup(
    environment: ListedEnvironment,
    options: { readonly live: boolean },
    run: Run,
  ): Promise<ListedBackup | Started>;
  /** Without `wait` it may not have happened when this returns. */
  deleteBackup(environment: ListedEnvironment, backup: BackupId, run: Run): Promise<"deleted" | "requested">;

  /** What a restore would do. @throws what `restore` refuses with before it begins */
  planRestore(request: RestoreRequest): Promise<RestorePlan>;
  /** @throws HoldfastError ENVIRONMENT_*, BACKUP_*, SOURCE_NOT_FOUND, ACCESS_DENIED, and what a restore fails with */
  restore(request: RestoreRequest, run: Run): Promise<RestoreReport | Started>;

  /** What is kept of the backups of each type of environment. */
  retention(): Promise<DataRetention>;
  /** `change`: as the API's PATCH of the settings. @throws HoldfastError INPUT_INVALID, ACCESS_DENIED */
  changeSettings(change: unknown): Promise<void>;

  /** Newest first. @throws HoldfastError ENVIRONMENT_NOT_FOUND, ACCESS_DENIED */
  activities(filter: ActivityListFilter): Promise<readonly ListedActivity[]>;
  /** @throws HoldfastError ACTIVITY_NOT_FOUND, ACCESS_DENIED */
  activity(id: OperationId): Promise<ListedActivity>;
  /** Its log: what is there, and with `follow` what comes until it has ended. */
  activityLog(id: OperationId, options: { readonly follow: boolean }): AsyncIterable<ActivityLogLine>;
  /** Returns it as it is then: cancelled, or asked to stop. @throws HoldfastError ACTIVITY_NOT_CANCELLABLE, ACCESS_DENIED */
  cancelActivity(id: OperationId): Promise<ListedActivity>;
}

export interface ListedEnvironment {
  readonly id: EnvironmentId;
  readonly title: string;
  readonly type: EnvironmentType;
  readonly status: EnvironmentStatus;
  readonly parent: EnvironmentId | undefined;
}

export interface EnvironmentInfo extends ListedEnvironment {
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
  readonly lastBackupAt: Date | null;
  /** Of the newest backup's code. */
  readonly headCommit: string | null;
  readonly isMain: boolean;
  readonly hasCode: boolean;
}

export type StatusChange = "activate" | "pause" | "resume" | "deactivate";

/** How long work is done. */
export interface Run {
  /** False to return as soon as it goes on without this process. */
  readonly wait: boolean;
  readonly progress: ProgressDisplay;
}

/** Work that goes on without this process: in another one that writes a log, or as a server's activity. */
export interface Started {
  readonly kind: "started";
  /** Of a backup. */
  readonly backup: BackupId | undefined;
  readonly log: string | undefined;
  readonly activity: OperationId | undefined;
}

export const isStarted = (outcome: object): outcome is Started => "kind" in outcome && outcome.kind === "started";

export interface ListedBackup extends Backup {
  /** Where it is kept. */
  readonly replicas: readonly string[];
}

/** Bytes, as `repo:stats` explains them. */
export interface BackupSizes {
  readonly bytes: number;
  readonly bytesStored: number;
  readonly bytesUnique: number;
  readonly bytesNew: number;
}

/** As the engine's, but a server may not say at its end what it held. */
export interface TakenArchive {
  readonly bytes: BackupArchive["bytes"];
  readonly summary: () => ArchiveSummary | undefined;
}

export interface BackupPlan {
  /** The manual backups that go once the new one is complete. */
  readonly replaces: readonly Backup[];
  /** How many manual ones are kept. */
  readonly manualCount: number | undefined;
  readonly profile: string;
}

export interface RestoreRequest {
  readonly backup: BackupId;
  /** The backup's own environment. */
  readonly origin: ListedEnvironment;
  readonly target: ListedEnvironment;
  /** The target is made from this one, if it is not there. */
  readonly branchFrom: EnvironmentId | undefined;
  readonly noCode: boolean;
  readonly only: readonly { readonly source: SourceId; readonly path?: string }[] | undefined;
  /** Absolute path of a folder on this machine to write into, instead of the environment. */
  readonly into: string | undefined;
}

export interface RestorePlan extends RestoreOutline {
  readonly hasGateway: boolean;
}

/** What is left out does not matter. */
export interface ActivityListFilter {
  readonly environment: EnvironmentId | undefined;
  readonly types: readonly string[];
  readonly states: readonly string[];
  readonly result: "success" | "failure" | undefined;
  readonly before: Date | undefined;
  readonly limit: number;
}

export type ListedActivity = Omit<Activity, "createdBy" | "updatedAt" | "cancelRequestedAt">;

export interface ActivityLogLine {
  readonly at: Date;
  /** Ends in a newline; may have several lines. */
  readonly message: string;
}

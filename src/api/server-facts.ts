import type { Clock, EnvironmentId, Logger, ProjectId } from "../base/index.ts";
import type {
  Backup,
  BackupArchive,
  BackupFile,
  ComponentIdentity,
  ManualBackupPolicy,
  OpenCatalog,
  ProfileName,
} from "../control/index.ts";

/** What the configuration says of a project beyond what the catalog keeps. */
export interface ConfiguredProject {
  readonly profile: ProfileName;
  /** Names the repository: activities on one have a common cap. */
  readonly storage: string;
  /** Where its backups are kept, for people. */
  readonly replicas: readonly string[];
  readonly environment: (id: EnvironmentId) => ConfiguredEnvironment | undefined;
}

export interface ConfiguredEnvironment {
  /** Without a gateway only live backups can be taken. */
  readonly hasGateway: boolean;
  /** Is code deployed that backups hold? */
  readonly hasCode: boolean;
  /** What backups of it hold, and restores bring back. */
  readonly components: readonly ComponentIdentity[];
  /** What the profile says of manual backups. */
  readonly manualBackups: ManualBackupPolicy;
}

/** Reads what the backups hold, out of the project's repository. */
export interface BackupContents {
  /** Undefined if the repository does not know the backup (any more). @throws HoldfastError REPOSITORY_*, STORAGE_* */
  sizes(
    backup: Backup,
    signal: AbortSignal,
  ): Promise<
    | {
        readonly bytes: number;
        readonly bytesStored: number;
        readonly bytesUnique: number;
        readonly bytesNew: number;
      }
    | undefined
  >;
  /** What is directly in a directory, or the one file. @throws HoldfastError SOURCE_NOT_FOUND, BACKUP_NOT_FOUND, REPOSITORY_* */
  files(backup: Backup, path: Buffer, signal: AbortSignal): Promise<readonly BackupFile[]>;
  /** A tar archive of these paths; of everything for the empty one. @throws as `files`, before the first byte */
  archive(backup: Backup, paths: readonly Buffer[], signal: AbortSignal): Promise<BackupArchive>;
}

/** Everything that the API works on. */
export interface ApiServices {
  readonly catalog: OpenCatalog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly version: string;
  readonly contents: BackupContents;
  readonly configured: (project: ProjectId) => ConfiguredProject | undefined;
}

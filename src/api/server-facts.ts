import type { Clock, EnvironmentId, Logger, ProjectId } from "../base/index.ts";
import type { ManualBackupPolicy, OpenCatalog, ProfileName } from "../control/index.ts";

/** What the configuration says of a project beyond what the catalog keeps. */
export interface ConfiguredProject {
  readonly profile: ProfileName;
  /** Names the repository: activities on one have a common cap. */
  readonly storage: string;
  readonly environment: (id: EnvironmentId) => ConfiguredEnvironment | undefined;
}

export interface ConfiguredEnvironment {
  /** Without a gateway only live backups can be taken. */
  readonly hasGateway: boolean;
  /** Is code deployed that backups hold? */
  readonly hasCode: boolean;
  /** What the profile says of manual backups. */
  readonly manualBackups: ManualBackupPolicy;
}

/** Everything that the API works on. */
export interface ApiServices {
  readonly catalog: OpenCatalog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly version: string;
  readonly configured: (project: ProjectId) => ConfiguredProject | undefined;
}

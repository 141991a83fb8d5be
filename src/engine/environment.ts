import type { BackupId, Clock, EnvironmentId, Logger, OperationId, ProjectId, SourceId } from "../base/index.ts";
import type { Source, Target } from "../component/index.ts";
import type { Gateway } from "../gateway/index.ts";
import type { Repository } from "../repository/index.ts";
import type { Catalog } from "./catalog.ts";
import type { EngineEvent } from "./events.ts";

export type EnvironmentType = "production" | "staging" | "development";
export type EnvironmentStatus = "active" | "inactive" | "paused" | "dirty" | "deleting";

/** Commands of the user around a backup's hold and a restore (spec C10). Each is one argument vector. */
export interface Hooks {
  readonly beforeHold: readonly (readonly string[])[];
  readonly afterRelease: readonly (readonly string[])[];
  readonly beforeRestore: readonly (readonly string[])[];
  readonly afterRestore: readonly (readonly string[])[];
}

/** One component of an environment: makes its source or target anew for each operation. */
export interface Component {
  readonly id: SourceId;
  /** As in its source's description. */
  readonly kind: string;
  /** Where it stands in a backup's tree: "services/db", "mounts/app/media", "code/app". */
  readonly path: string;
  source(): Source;
  /** For the whole component, or for one folder below its root where the kind can (file trees). @throws SERVICE_UNSUPPORTED */
  target(folder?: string): Target;
}

/** An environment as the engine works on it; the composition root makes it from the configuration. */
export interface Environment {
  readonly project: ProjectId;
  readonly id: EnvironmentId;
  readonly type: EnvironmentType;
  /** How many manual backups the environment keeps (spec C7); undefined for no limit. */
  readonly manualCount: number | undefined;
  readonly status: EnvironmentStatus;
  readonly components: readonly Component[];
  /** Undefined if the environment has no gateway: then only live backups, and restores without a hold, are possible. */
  readonly gateway: Gateway | undefined;
  readonly drainTimeoutMs: number;
  readonly holdTimeoutMs: number;
  readonly hooks: Hooks;
}

/** What every operation of the engine needs. */
export interface EngineContext {
  readonly repository: Repository;
  readonly catalog: Catalog;
  /** Absolute; holds locks, journals and work folders. Mode 0700. */
  readonly stateDirectory: string;
  readonly hostname: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly onEvent: (event: EngineEvent) => void;
}

export interface CreateBackupOptions {
  /** Default: a new one. If there is a backup of this id it is returned, and none is made. */
  readonly id?: BackupId;
  /** Names this run: its journal, its lock, what it stages. Default: a new one. */
  readonly operation?: OperationId;
  readonly live: boolean;
  readonly automated?: boolean;
  /** When the backup expires; never if left out. */
  readonly expiresAt?: Date;
}

export interface RestoreBackupOptions {
  readonly backup: BackupId;
  /** As in `CreateBackupOptions`. */
  readonly operation?: OperationId;
  /** The environment whose backup it is, if another one is restored to (T2). */
  readonly sourceEnvironment?: EnvironmentId;
  /** Leave the code as it is (T3). */
  readonly noCode?: boolean;
  /** Only these components, or paths within them: `{ source: "mount:app/media", path: "2026" }`. Undefined for all. */
  readonly only?: readonly { readonly source: SourceId; readonly path?: string }[];
  /** Write files and dumps below this folder (made if missing, must be empty) and leave the environment alone. */
  readonly into?: string;
}

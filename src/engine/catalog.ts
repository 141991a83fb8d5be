import type { BackupId, EnvironmentId, OperationId, ProjectId, SourceId } from "../base/index.ts";
import type { FreezePoint, Warning } from "../component/index.ts";
import type { HoldFigures } from "../gateway/index.ts";
import type { HexId, WriteStats } from "../repository/index.ts";

/** How one component fared in a backup. */
export interface BackupComponent {
  readonly source: SourceId;
  readonly kind: string;
  readonly path: string;
  readonly engineVersion?: string;
  readonly frozenAt: Date;
  readonly freezeMs: number;
  readonly freezeFacts: FreezePoint["facts"];
  readonly files: number;
  readonly bytes: number;
}

/** A row of the catalog. Everything here can be rebuilt from the snapshot's tags and manifest. */
export interface Backup {
  readonly id: BackupId;
  readonly project: ProjectId;
  readonly environment: EnvironmentId;
  readonly snapshot: HexId;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly expiresAt: Date | null;
  readonly status: "CREATED" | "DELETING";
  readonly automated: boolean;
  /** Taken under a hold; false for a live backup. */
  readonly safe: boolean;
  readonly restorable: boolean;
  /** Of the deployed code, "" if there is none or it is no Git checkout. */
  readonly commitId: string;
  /** For safe backups. */
  readonly hold: HoldFigures | null;
  /** Between the earliest and the latest freeze point, milliseconds. */
  readonly skewMs: number;
  readonly durationMs: number;
  readonly sizeBytes: number;
  readonly written: WriteStats;
  readonly components: readonly BackupComponent[];
  readonly warnings: readonly (Warning & { readonly source: SourceId | null })[];
}

/** The index of the backups. Calls are durable when they resolve; several processes may use one catalog at once. */
export interface Catalog {
  insert(backup: Backup): Promise<void>;
  /** Newest first. */
  list(project: ProjectId, environment?: EnvironmentId): Promise<readonly Backup[]>;
  get(project: ProjectId, id: BackupId): Promise<Backup | undefined>;
  setStatus(project: ProjectId, id: BackupId, status: Backup["status"]): Promise<void>;
  remove(project: ProjectId, id: BackupId): Promise<void>;
  /**
   * The restore of this id has taken effect: called before its journal goes, and again by recovery. Who asked for it can so
   * tell it from one that was undone. An operation that nobody asked about is no error.
   */
  operationFinished(project: ProjectId, operation: OperationId): Promise<void>;
}

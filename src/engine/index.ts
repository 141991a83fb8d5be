// Orchestration of backups and restores: prepare, freeze, read; stage, swap, settle; journal and recovery.
// It knows sources, targets, the gateway and the repository by their contracts only, never a kind of service.
export {
  type ArchiveSummary,
  type BackupArchive,
  backupArchive,
  type BackupFile,
  backupFiles,
} from "./backup-contents.ts";
export { listBackup, openBackup, type OpenBackup, readManifest, walkBackup } from "./browse.ts";
export type { Backup, BackupComponent, Catalog } from "./catalog.ts";
export { assertActive, assertCanBackUp, createBackup, snapshotTags } from "./create-backup.ts";
export { type ProcessLock, tryLockFile } from "./process-lock.ts";
export { deleteBackup, findBackup, oldestManualBackups } from "./delete-backup.ts";
export type {
  Component,
  CreateBackupOptions,
  EngineContext,
  Environment,
  EnvironmentStatus,
  EnvironmentType,
  Hooks,
  RestoreBackupOptions,
} from "./environment.ts";
export type { EngineEvent, Phase } from "./events.ts";
export type { Manifest } from "./manifest.ts";
export { type BackupStates, rebuildCatalog, type RebuildContext, type RebuildReport } from "./rebuild-catalog.ts";
export { repairBackups, type RepairContext } from "./repair-backups.ts";
export { recoverInterrupted } from "./recover.ts";
export { planRestore, restoreBackup, type RestoredComponent, type RestoreReport } from "./restore-backup.ts";
export {
  type ComponentIdentity,
  outlineRestore,
  type RestoredPart,
  type RestoreOutline,
  type RestorePlan,
  type RestoreStep,
} from "./restore-plan.ts";

// Orchestration of backups and restores: prepare, freeze, read; stage, swap, settle; journal and recovery.
// It knows sources, targets, the gateway and the repository by their contracts only, never a kind of service.
export type { Backup, BackupComponent, Catalog } from "./catalog.ts";
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

// restic's repository format, version 2: written and read on worker threads. Terms as in restic: pack, blob, tree, index,
// snapshot, key, lock. It knows nothing of services, holds or environments.
export type {
  AffectedSnapshot,
  CheckFinding,
  CheckOptions,
  CheckReport,
  DataCoverage,
  HexId,
  KeyInfo,
  LockInfo,
  Repository,
  RepositoryReader,
  RepositoryStats,
  RepositoryWriter,
  Snapshot,
  SnapshotSizes,
  StatsOptions,
  StoredTree,
  TreeChild,
  TreeStats,
  WriteStats,
} from "./repository.ts";
export type {
  PackGroup,
  PruneFigures,
  PruneOptions,
  PruneProgress,
  PruneReport,
  UnusedLimit,
} from "./prune/prune-types.ts";
export type {
  DamagedPack,
  DamagedSnapshot,
  RepairOptions,
  RepairProgress,
  RepairReport,
  SnapshotDescription,
} from "./repair/repair-types.ts";
export { type CreateRepositoryOptions, createRepository, type OpenRepositoryOptions, openRepository } from "./open.ts";

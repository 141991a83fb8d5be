import {
  type BackupId,
  type EnvironmentId,
  HoldfastError,
  isHoldfastError,
  newOperationId,
  type ProjectId,
  throwIfAborted,
} from "../base/index.ts";
import type { Repository, RepositoryReader, Snapshot } from "../repository/index.ts";
import { manifestOf } from "./browse.ts";
import type { Backup, Catalog } from "./catalog.ts";
import { lockEnvironment } from "./environment-lock.ts";
import type { ProcessLock } from "./process-lock.ts";

/** What a catalog knows of its backups without reading their records, which may be unreadable. */
export interface BackupStates {
  backupStates(project: ProjectId): Promise<ReadonlyMap<BackupId, Pick<Backup, "status" | "updatedAt">>>;
}

export interface RebuildContext {
  readonly repository: Repository;
  readonly catalog: Catalog & BackupStates;
  readonly stateDirectory: string;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

export interface RebuildReport {
  /** Backups that the catalog has now. */
  readonly backups: number;
  /** Of these, how many it did not have before. */
  readonly added: number;
  /** Rows whose snapshot is in the repository no longer. */
  readonly removed: number;
  /** Snapshots of this project from which no row can be made. Rows that they have are left alone. */
  readonly unreadable: readonly { readonly snapshot: string; readonly reason: string }[];
}

/**
 * Makes the catalog's backups of one project again from the tags and manifests in its repository. A backup whose deletion
 * had begun stays DELETING. Under the locks of all environments, so that no operation of this machine is at work meanwhile;
 * an interrupted run is finished by another.
 * @throws HoldfastError ENVIRONMENT_BUSY, STATE_UNUSABLE, REPOSITORY_*, STORAGE_*, INTERRUPTED
 */
export async function rebuildCatalog(
  context: RebuildContext,
  project: ProjectId,
  environments: readonly EnvironmentId[],
): Promise<RebuildReport> {
  const locks: ProcessLock[] = [];
  try {
    for (const id of environments) {
      const operation = { id: newOperationId(), kind: "catalog:rebuild" };
      locks.push(lockEnvironment(context.stateDirectory, { project, id }, operation));
    }
    return await rebuild(context, project);
  } finally {
    for (const lock of locks) lock.release();
  }
}

async function rebuild(context: RebuildContext, project: ProjectId): Promise<RebuildReport> {
  const { repository, catalog, signal } = context;
  const before = await catalog.backupStates(project);
  const snapshots = (await repository.snapshots()).filter(
    ({ tags }) => tags.includes("holdfast") && tags.includes(`project:${project}`),
  );
  const unreadable: { readonly snapshot: string; readonly reason: string }[] = [];
  const untold = new Set<string>();
  /** With their snapshots: copies of one snapshot are one backup. */
  const inserted = new Map<BackupId, readonly string[]>();
  const reader = await repository.reader({ signal });
  try {
    for (const [index, snapshot] of snapshots.entries()) {
      throwIfAborted(signal);
      context.onProgress(index, snapshots.length);
      try {
        const backup = await backupIn(reader, snapshot, project);
        const state = before.get(backup.id);
        await catalog.insert(state === undefined ? backup : { ...backup, ...state });
        inserted.set(backup.id, [...(inserted.get(backup.id) ?? []), snapshot.id]);
      } catch (error) {
        if (!isDamage(error)) throw error;
        unreadable.push({ snapshot: snapshot.id, reason: error.message });
        for (const tag of snapshot.tags) if (tag.startsWith("backup:")) untold.add(tag.slice("backup:".length));
      }
    }
  } finally {
    await reader.close();
  }
  const kept = await stillStored(repository, inserted);
  const gone = [...new Set([...before.keys(), ...inserted.keys()])].filter((id) => !kept.has(id) && !untold.has(id));
  for (const id of gone) await catalog.remove(project, id);
  return {
    backups: kept.size,
    added: [...kept].filter((id) => !before.has(id)).length,
    removed: gone.filter((id) => before.has(id)).length,
    unreadable,
  };
}

/**
 * Another machine may have deleted backups after the snapshots were listed, and removed their rows before they were inserted
 * again. Whoever removes a snapshot from now on removes its row after that.
 */
async function stillStored(
  repository: Repository,
  inserted: ReadonlyMap<BackupId, readonly string[]>,
): Promise<ReadonlySet<BackupId>> {
  const stored = new Set<string>((await repository.snapshots()).map(({ id }) => id));
  const found = [...inserted].filter(([, snapshots]) => snapshots.some((snapshot) => stored.has(snapshot)));
  return new Set(found.map(([id]) => id));
}

async function backupIn(reader: RepositoryReader, snapshot: Snapshot, project: ProjectId): Promise<Backup> {
  const { backup } = await manifestOf(reader, snapshot);
  if (backup.project === project && snapshot.tags.includes(`backup:${backup.id}`)) {
    return { ...backup, snapshot: snapshot.id };
  }
  throw new HoldfastError(
    "REPOSITORY_UNSUPPORTED",
    `The manifest of snapshot ${snapshot.id} is of the backup ${backup.id} of ${backup.project}, its tags say otherwise.`,
    { facts: { snapshot: snapshot.id, backup: backup.id } },
  );
}

/** One bad snapshot must not keep the others out of the catalog. */
const isDamage = (error: unknown): error is HoldfastError =>
  isHoldfastError(error, "REPOSITORY_DAMAGED") || isHoldfastError(error, "REPOSITORY_UNSUPPORTED");

import { type BackupId, HoldfastError, isHoldfastError } from "../base/index.ts";
import type { Backup } from "./catalog.ts";
import type { EngineContext, Environment } from "./environment.ts";
import { runOperation } from "./operation.ts";

/** The backup, from the catalog. @throws HoldfastError BACKUP_NOT_FOUND */
export async function findBackup(
  context: Pick<EngineContext, "catalog">,
  environment: Pick<Environment, "project" | "id">,
  id: BackupId,
): Promise<Backup> {
  const backup = await context.catalog.get(environment.project, id);
  if (backup?.environment === environment.id) return backup;
  throw new HoldfastError("BACKUP_NOT_FOUND", `The environment ${environment.id} has no backup ${id}.`, {
    facts: { backup: id, environment: environment.id },
    remedy: "See which there are: holdfast backup:list",
  });
}

/**
 * Deletes a backup: its snapshot, then its row. Its data stays in the repository until a prune. A crash in between leaves
 * the row in status DELETING, and recovery or another call finishes it.
 * @throws HoldfastError BACKUP_NOT_FOUND, ENVIRONMENT_BUSY, REPOSITORY_LOCKED, STORAGE_*
 */
export async function deleteBackup(context: EngineContext, environment: Environment, id: BackupId): Promise<void> {
  const backup = await findBackup(context, environment, id);
  await runOperation(context, environment, "delete", { backup: id, components: [] }, async (operation) => {
    try {
      await removeBackup(context, backup);
    } finally {
      // Whatever is left is in the catalog as DELETING, so the journal has no more to tell.
      operation.folder.remove();
    }
  });
}

/** Idempotent. */
export async function removeBackup(context: EngineContext, backup: Backup): Promise<void> {
  await context.catalog.setStatus(backup.project, backup.id, "DELETING");
  try {
    await context.repository.forget(backup.snapshot);
  } catch (error) {
    // Refused before anything was removed: the backup is as good as it was. One that was DELETING may be half gone.
    if (isHoldfastError(error, "REPOSITORY_LOCKED")) {
      await context.catalog.setStatus(backup.project, backup.id, backup.status);
    }
    throw error;
  }
  await context.catalog.remove(backup.project, backup.id);
}

/** The manual backups beyond the newest `manualCount`, oldest first (spec C7). */
export function oldestManualBackups(backups: readonly Backup[], manualCount: number | undefined): Backup[] {
  if (manualCount === undefined) return [];
  return backups
    .filter((backup) => !backup.automated)
    .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
    .slice(Math.max(1, manualCount))
    .reverse();
}

import { type BackupId, type Clock, isHoldfastError, type ProjectId } from "../base/index.ts";
import type { Warning } from "../component/index.ts";
import type { DamagedSnapshot, RepairOptions, RepairReport, Repository, Snapshot } from "../repository/index.ts";
import { manifestPath } from "./backup-tree.ts";
import type { Catalog } from "./catalog.ts";
import { amendManifest } from "./manifest.ts";

export interface RepairContext {
  readonly repository: Repository;
  readonly catalog: Catalog;
  readonly clock: Clock;
}

/**
 * Repairs the repository. With `forget`, backups that lost data are replaced by what is left of them: manifest and catalog
 * say so by a warning, and those that lost more than files of mounts are not restorable in place any more; backups of which
 * nothing is left go. Interrupted anywhere, another call goes on.
 * @throws HoldfastError REPOSITORY_LOCKED, STORAGE_*, STATE_UNUSABLE, INTERRUPTED
 */
export async function repairBackups(
  context: RepairContext,
  project: ProjectId,
  options: Omit<RepairOptions, "description" | "onReplaced">,
): Promise<RepairReport> {
  return context.repository.repair({
    ...options,
    description: { name: manifestPath, amend },
    onReplaced: (damaged, replacement) => updateCatalog(context, project, damaged, replacement),
  });
}

/** The row names the new snapshot before the old one is removed. */
async function updateCatalog(
  { catalog, clock }: RepairContext,
  project: ProjectId,
  damaged: DamagedSnapshot,
  replacement: Snapshot | undefined,
): Promise<void> {
  const { tags, id: snapshot } = damaged.snapshot;
  const id = tags.find((tag) => tag.startsWith("backup:"))?.slice("backup:".length);
  if (id === undefined || !tags.includes(`project:${project}`)) return;
  const backup = await catalog.get(project, id as BackupId);
  // Of several copies of one snapshot the row names one.
  if (backup === undefined || backup.snapshot !== snapshot) return;
  if (replacement === undefined) {
    await catalog.remove(project, backup.id);
    return;
  }
  await catalog.insert({
    ...backup,
    snapshot: replacement.id,
    updatedAt: clock.now(),
    restorable: backup.restorable && isRestorable(damaged),
    warnings: [...backup.warnings, { source: null, ...lossWarning(damaged) }],
  });
}

function amend(manifest: Buffer, damaged: DamagedSnapshot): Buffer {
  try {
    return amendManifest(manifest, lossWarning(damaged), isRestorable(damaged), damaged.snapshot.id);
  } catch (error) {
    // No manifest that this version could have written; it stays what it is.
    if (isHoldfastError(error, "REPOSITORY_DAMAGED")) return manifest;
    throw error;
  }
}

/** A dump without one of its files, or code without one, is worse than none; a mount without a picture is not. */
function isRestorable({ lostBelow }: DamagedSnapshot): boolean {
  return Array.from(lostBelow.keys()).every((name) => name === "mounts");
}

const namedInWarning = 5;

function lossWarning({ paths, pathsTotal }: DamagedSnapshot): Warning {
  const named = paths.slice(0, namedInWarning);
  const more = pathsTotal - named.length;
  return {
    kind: "data-lost",
    message: `Lost with damaged data, and not in this backup any more: ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}.`,
    facts: { paths: pathsTotal },
  };
}

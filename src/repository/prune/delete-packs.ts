import { isHoldfastError, throwIfAborted } from "../../base/index.ts";
import { inParallel } from "../in-parallel.ts";
import { listLocks } from "../lock/lock-list.ts";
import { acquireLock, type RepositoryLock } from "../lock/repository-lock.ts";
import type { HexId } from "../repository.ts";
import { loadSnapshotsOf } from "../snapshot/snapshot-list.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { IndexRewrite } from "./index-rewrite.ts";
import { clockMarginMs } from "./mark-store.ts";
import type { PruneIndex } from "./prune-index.ts";
import type { UsedBlobs } from "./used-blobs.ts";

/** Attempts to find a moment in which no snapshot came that needs what is to go. */
const attempts = 3;
const removedAtOnce = 8;

export interface DeleteParts {
  readonly files: UnpackedFiles;
  readonly index: PruneIndex;
  readonly used: UsedBlobs;
  /** Ids that `used` knows; grows. */
  readonly snapshots: Set<HexId>;
  readonly lock: RepositoryLock;
  readonly signal: AbortSignal;
  readonly onPack: (done: number, total: number) => void;
}

export interface Deletion {
  readonly deleted: ReadonlySet<HexId>;
  /** Why not all are. */
  readonly reason?: string;
}

/**
 * Deletes marked packs that are still not needed, and that no process at work can know. Out of the index first, in a
 * moment in which restic's clients are locked out and no new snapshot can escape; the files after that.
 */
export async function deletePacks(due: readonly HexId[], parts: DeleteParts): Promise<Deletion> {
  const { index, files, lock } = parts;
  const wanted = new Set(due);
  let reason: string | undefined;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    reason = (await dropKnown(wanted, parts)) ?? reason;
    await dropNeeded(wanted, parts);
    if (wanted.size === 0 && !index.packs.some((pack) => pack.files.length > 1)) break;
    lock.confirm();
    const rewrite = await IndexRewrite.prepare(files, index, wanted);
    const outcome = await commitInMoment(rewrite, wanted, parts);
    if (outcome === "done") {
      await removePacks(wanted, parts);
      return { deleted: wanted, ...explain(due.length - wanted.size, reason) };
    }
    reason = outcome.reason;
    if (outcome.locked) break;
  }
  return { deleted: new Set(), ...explain(due.length, reason) };
}

function explain(missing: number, reason: string | undefined): { readonly reason?: string } {
  return missing === 0 ? {} : { reason: reason ?? "new snapshots need them again" };
}

/** Done, or why not; `locked` if restic is at work, which is not waited for. */
type Outcome = "done" | { readonly reason: string; readonly locked: boolean };

async function commitInMoment(rewrite: IndexRewrite, wanted: Set<HexId>, parts: DeleteParts): Promise<Outcome> {
  let moment: RepositoryLock;
  try {
    moment = await acquireLock(parts.files, { exclusive: true, work: "moment", signal: parts.signal });
  } catch (error) {
    await rewrite.abandon();
    if (isHoldfastError(error, "REPOSITORY_LOCKED")) return { reason: error.message, locked: true };
    throw error;
  }
  try {
    const before = wanted.size;
    // Locks before snapshots: whoever has let go of its lock since has left its snapshot to be seen.
    const reason = await dropKnown(wanted, parts, moment.id);
    await dropNeeded(wanted, parts);
    if (wanted.size < before) {
      await rewrite.abandon();
      return { reason: reason ?? "new snapshots need them again", locked: false };
    }
    parts.lock.confirm();
    moment.confirm();
    await rewrite.commit();
    return "done";
  } finally {
    await moment.release();
  }
}

/** Takes out packs that a process at work may have seen in an index without a mark. Returns whose. */
async function dropKnown(wanted: Set<HexId>, parts: DeleteParts, moment?: HexId): Promise<string | undefined> {
  let reason: string | undefined;
  for (const { id, stale, lease, hostname, pid } of await listLocks(parts.files)) {
    if (id === parts.lock.id || id === moment || stale || lease === undefined) continue;
    for (const pack of wanted) {
      const marked = parts.index.marks.get(pack)?.time.getTime() ?? Number.POSITIVE_INFINITY;
      const isLater = lease.since.getTime() > marked + clockMarginMs;
      if (isLater && lease.work !== "check") continue;
      wanted.delete(pack);
      const work = isLater ? "checks the repository" : "has been at work since before they were marked";
      reason = `process ${pid} on ${hostname} ${work}`;
    }
  }
  return reason;
}

/** Takes out packs that snapshots need which came since, or that came into the index. */
async function dropNeeded(wanted: Set<HexId>, parts: DeleteParts): Promise<void> {
  const { files, index, snapshots, used, signal } = parts;
  const fresh = (await files.ids("snapshot")).filter((id) => !snapshots.has(id));
  const loaded = await loadSnapshotsOf(files, fresh, signal);
  for (const id of await index.refresh(signal)) wanted.delete(id);
  await used.add(loaded, { signal, onNew: (pack) => wanted.delete(index.packs[pack]?.id ?? "") });
  for (const id of fresh) snapshots.add(id);
}

async function removePacks(ids: ReadonlySet<HexId>, { files, lock, signal, onPack }: DeleteParts): Promise<void> {
  let done = 0;
  await inParallel(ids, removedAtOnce, async (name) => {
    throwIfAborted(signal);
    lock.confirm();
    await files.backend.remove({ type: "data", name });
    done += 1;
    onPack(done, ids.size);
  });
}

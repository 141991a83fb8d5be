import { isHoldfastError } from "../../base/index.ts";
import type { Sealer } from "../crypto/envelope.ts";
import { damaged } from "../damage.ts";
import type { RepositoryLock } from "../lock/repository-lock.ts";
import { underLock } from "../lock/under-lock.ts";
import { BlobLoader } from "../pack/blob-loader.ts";
import { joinSignals } from "../reader/repository-reader.ts";
import type { HexId } from "../repository.ts";
import { loadSnapshots } from "../snapshot/snapshot-list.ts";
import type { UnpackedFiles } from "../unpacked-files.ts";
import { deletePacks } from "./delete-packs.ts";
import { MarkStore } from "./mark-store.ts";
import { type PackUse, planPrune } from "./plan-prune.ts";
import { PruneIndex } from "./prune-index.ts";
import type { PackGroup, PruneOptions, PrunePlan, PruneReport } from "./prune-types.ts";
import { repack } from "./repack.ts";
import { UsedBlobs } from "./used-blobs.ts";

export interface PruneParts {
  readonly files: UnpackedFiles;
  readonly sealer: Sealer;
  /** Size of new packs; default 16 MiB. */
  readonly packBytes?: number;
}

const usualSafetyMs = 24 * 60 * 60_000;
const usualMaxUnused = { ratio: 0.05 };
/** A file that is being written is never so old, whatever the safety time. */
const minTemporaryAgeMs = 60 * 60_000;

/**
 * Frees what no snapshot needs, while others back up and restore. Interrupted anywhere it loses nothing, and the next call
 * goes on. @throws HoldfastError REPOSITORY_LOCKED if restic or another prune is at work, REPOSITORY_DAMAGED if something
 * needed is missing (then nothing was deleted), REPOSITORY_UNSUPPORTED, STORAGE_*, INTERRUPTED; RangeError
 */
export async function pruneRepository(parts: PruneParts, options: PruneOptions = {}): Promise<PruneReport> {
  checkOptions(options);
  const { files } = parts;
  return underLock(files, { exclusive: false, work: "prune", signal: options.signal }, (lock) =>
    new Prune(parts, options, lock, joinSignals(lock.signal, options.signal)).run(),
  );
}

function checkOptions({ maxUnused = usualMaxUnused, safetyMs = usualSafetyMs }: PruneOptions): void {
  if (!(safetyMs >= 0)) throw new RangeError("safetyMs must not be negative.");
  if (maxUnused === "unlimited") return;
  const valid = "ratio" in maxUnused ? maxUnused.ratio >= 0 && maxUnused.ratio <= 1 : maxUnused.bytes >= 0;
  if (!valid) throw new RangeError("maxUnused must be a ratio from 0 to 1, or bytes.");
}

class Prune {
  readonly #parts: PruneParts;
  readonly #options: PruneOptions;
  readonly #lock: RepositoryLock;
  readonly #signal: AbortSignal;
  readonly #index: PruneIndex;
  readonly #used: UsedBlobs;
  /** Sizes of the packs that were there before the index was read. */
  readonly #stored = new Map<HexId, number>();

  constructor(parts: PruneParts, options: PruneOptions, lock: RepositoryLock, signal: AbortSignal) {
    this.#parts = parts;
    this.#options = options;
    this.#lock = lock;
    this.#signal = signal;
    this.#index = new PruneIndex(parts.files);
    const loader = new BlobLoader(parts.files.backend, parts.sealer, this.#index.asLoaded);
    this.#used = new UsedBlobs(this.#index, loader);
  }

  async run(): Promise<PruneReport> {
    const { files } = this.#parts;
    const { dryRun = false, safetyMs = usualSafetyMs, maxUnused = usualMaxUnused, onProgress } = this.#options;
    // In this order: a pack of a backup that ends meanwhile is in the index, and so is all that a snapshot needs.
    for await (const { name, sizeBytes } of files.backend.list("data")) this.#stored.set(name, sizeBytes);
    const snapshots = await loadSnapshots(files, this.#signal);
    await this.#index.refresh(this.#signal);
    await this.#used.add(snapshots, {
      signal: this.#signal,
      onTree: (done) => onProgress?.({ step: "trees", done }),
    });
    const plan = planPrune(await this.#uses(), { now: new Date(), safetyMs, maxUnused });
    const report = { dryRun, snapshots: snapshots.length, plan: plan.figures };
    const nothing = { packs: 0, bytes: 0 };
    if (dryRun) return { ...report, deleted: nothing, heldBack: nothing, temporariesRemoved: 0 };
    return { ...report, ...(await this.#apply(plan, safetyMs, new Set(snapshots.map(({ id }) => id)))) };
  }

  async #apply(
    plan: PrunePlan,
    safetyMs: number,
    snapshots: Set<HexId>,
  ): Promise<Pick<PruneReport, "deleted" | "heldBack" | "temporariesRemoved">> {
    const { files, sealer, packBytes } = this.#parts;
    const { onProgress } = this.#options;
    const [index, used, signal, lock] = [this.#index, this.#used, this.#signal, this.#lock];
    const repacking = { files, sealer, index, used, signal, ...(packBytes === undefined ? {} : { packBytes }) };
    await repack(plan.repack, {
      ...repacking,
      onPack: (done) => onProgress?.({ step: "repack", done, total: plan.repack.length }),
    });
    const marks = new MarkStore(files, index, lock);
    const unmarked = plan.delete.filter(
      (id) => markOf(index.marks.get(id), !index.byId.has(id)).markedAt === undefined,
    );
    await marks.add([...plan.mark, ...plan.repack, ...unmarked]);
    const due = safetyMs === 0 ? [...plan.delete, ...plan.repack] : plan.delete;
    const onPack = (done: number, total: number): void => onProgress?.({ step: "delete", done, total });
    const sizes = new Map(due.map((id) => [id, this.#sizeOf(id)]));
    const { deleted, reason } = await deletePacks(due, { files, index, used, snapshots, lock, signal, onPack });
    await marks.tidy(new Set(plan.unmark), (id) => !deleted.has(id) && (this.#stored.has(id) || index.byId.has(id)));
    const temporariesRemoved = await files.backend.removeTemporaries(Math.max(safetyMs, minTemporaryAgeMs));
    return {
      deleted: groupOf(sizes, (id) => deleted.has(id)),
      heldBack: { ...groupOf(sizes, (id) => !deleted.has(id)), ...(reason === undefined ? {} : { reason }) },
      temporariesRemoved,
    };
  }

  #sizeOf(id: HexId): number {
    return this.#stored.get(id) ?? this.#index.byId.get(id)?.sizeBytes ?? 0;
  }

  /** @throws HoldfastError REPOSITORY_DAMAGED for a pack that is needed and missing, or has not the size it should have */
  async #uses(): Promise<PackUse[]> {
    const { blobs, packs, marks, byId } = this.#index;
    const usedBlobs = new Uint32Array(packs.length);
    const usedBytes = new Float64Array(packs.length);
    for (let entry = 1; entry <= blobs.size; entry += 1) {
      if (!this.#used.has(entry)) continue;
      const location = blobs.locationOf(entry);
      if (location === undefined) continue;
      usedBlobs[location.pack] = (usedBlobs[location.pack] as number) + 1;
      usedBytes[location.pack] = (usedBytes[location.pack] as number) + location.length;
    }
    const uses: PackUse[] = [];
    for (const { id, number, sizeBytes, blobs: count, mixed } of packs) {
      const use = { usedBlobs: usedBlobs[number] as number, usedBytes: usedBytes[number] as number };
      if (use.usedBlobs > 0) await this.#verifyStored(id, sizeBytes);
      uses.push({ id, sizeBytes, blobs: count, ...use, mixed, indexed: true, ...markOf(marks.get(id), false) });
    }
    const none = { blobs: 0, usedBlobs: 0, usedBytes: 0, mixed: false, indexed: false };
    for (const [id, sizeBytes] of this.#stored) {
      // A pack whose deletion was interrupted was marked while it was in the index.
      if (!byId.has(id)) uses.push({ id, sizeBytes, ...none, ...markOf(marks.get(id), true) });
    }
    return uses;
  }

  async #verifyStored(id: HexId, sizeBytes: number): Promise<void> {
    const found = this.#stored.get(id) ?? (await this.#statPack(id));
    if (found === sizeBytes) return;
    const what = found === undefined ? "is missing" : `has ${found} bytes where the index says ${sizeBytes}`;
    throw damaged(`The pack ${id}, which snapshots need, ${what}. Nothing was pruned.`, { pack: id });
  }

  /** For one that was saved since packs were listed. */
  async #statPack(id: HexId): Promise<number | undefined> {
    try {
      return (await this.#parts.files.backend.stat({ type: "data", name: id })).sizeBytes;
    } catch (error) {
      if (isHoldfastError(error, "STORAGE_NOT_FOUND")) return undefined;
      throw error;
    }
  }
}

function markOf(mark: { time: Date; orphan: boolean } | undefined, orphan: boolean): { readonly markedAt?: Date } {
  // A pack that was marked as an orphan and came into the index since is another case: it begins anew.
  return mark === undefined || (mark.orphan && !orphan) ? {} : { markedAt: mark.time };
}

function groupOf(sizes: ReadonlyMap<HexId, number>, belongs: (id: HexId) => boolean): PackGroup {
  let packs = 0;
  let bytes = 0;
  for (const [id, size] of sizes) {
    if (!belongs(id)) continue;
    packs += 1;
    bytes += size;
  }
  return { packs, bytes };
}

import type { HexId } from "../repository.ts";
import type { PackGroup, PrunePlan, UnusedLimit } from "./prune-types.ts";

/** What is known of a pack. */
export interface PackUse {
  readonly id: HexId;
  readonly sizeBytes: number;
  readonly blobs: number;
  /** Blobs that a snapshot needs and that are to be read from this pack, and their envelopes' bytes. */
  readonly usedBlobs: number;
  readonly usedBytes: number;
  /** Holds both trees and data, which one pack should not. */
  readonly mixed: boolean;
  /** False for a pack that only the storage knows. */
  readonly indexed: boolean;
  readonly markedAt?: Date;
}

export interface PlanOptions {
  readonly now: Date;
  readonly safetyMs: number;
  readonly maxUnused: UnusedLimit;
}

/** Packs below this are worth to be put together, if there are enough of them. */
const smallPackBytes = 3 << 20;
const enoughSmallPacks = 10;

/**
 * Decides on every pack. Needed blobs are never in a pack that is marked, waits or is deleted. A marked pack with needed
 * blobs is un-marked.
 */
export function planPrune(packs: readonly PackUse[], options: PlanOptions): PrunePlan {
  const isDue = (markedAt: Date | undefined): boolean =>
    options.safetyMs === 0 ||
    (markedAt !== undefined && options.now.getTime() - markedAt.getTime() >= options.safetyMs);
  const groups = { keep: new Group(), repack: new Group(), mark: new Group(), unmark: new Group(), wait: new Group() };
  const due = new Group();
  const candidates: PackUse[] = [];
  for (const pack of packs) {
    if (pack.usedBlobs > 0) {
      if (pack.markedAt !== undefined && pack.indexed) groups.unmark.add(pack);
      else candidates.push(pack);
    } else if (isDue(pack.markedAt)) due.add(pack);
    else if (pack.markedAt === undefined) groups.mark.add(pack);
    else groups.wait.add(pack);
  }
  const bytesUsed = packs.reduce((sum, pack) => sum + pack.usedBytes, 0);
  const chosen = chooseRepacks(candidates, allowedUnused(options.maxUnused, bytesUsed));
  for (const pack of candidates) (chosen.has(pack) ? groups.repack : groups.keep).add(pack);
  const kept = [...groups.keep.packs, ...groups.unmark.packs];
  const freedByRepack = groups.repack.bytes - groups.repack.usedBytes;
  return {
    keep: groups.keep.ids,
    repack: groups.repack.ids,
    mark: groups.mark.ids,
    unmark: groups.unmark.ids,
    wait: groups.wait.ids,
    delete: due.ids,
    figures: {
      keep: groups.keep.figure,
      repack: groups.repack.figure,
      mark: groups.mark.figure,
      unmark: groups.unmark.figure,
      wait: groups.wait.figure,
      delete: due.figure,
      bytesRewritten: groups.repack.usedBytes,
      bytesUsed,
      bytesUnusedKept: kept.reduce((sum, pack) => sum + unusedBytes(pack), 0),
      bytesFreed: due.bytes + (options.safetyMs === 0 ? freedByRepack : 0),
      bytesFreedLater: groups.mark.bytes + groups.wait.bytes + (options.safetyMs === 0 ? 0 : freedByRepack),
    },
  };
}

class Group {
  readonly packs: PackUse[] = [];
  bytes = 0;
  usedBytes = 0;

  add(pack: PackUse): void {
    this.packs.push(pack);
    this.bytes += pack.sizeBytes;
    this.usedBytes += pack.usedBytes;
  }

  get ids(): HexId[] {
    return this.packs.map(({ id }) => id);
  }

  get figure(): PackGroup {
    return { packs: this.packs.length, bytes: this.bytes };
  }
}

/** Bytes that repacking this pack would free, but for its header. */
function unusedBytes(pack: PackUse): number {
  return pack.usedBlobs === pack.blobs ? 0 : Math.max(0, pack.sizeBytes - pack.usedBytes);
}

/** Bytes that may stay unused. A ratio is of what the repository has afterwards, unused and used together. */
function allowedUnused(limit: UnusedLimit, bytesUsed: number): number {
  if (limit === "unlimited") return Number.POSITIVE_INFINITY;
  if ("bytes" in limit) return limit.bytes;
  return limit.ratio >= 1 ? Number.POSITIVE_INFINITY : (bytesUsed * limit.ratio) / (1 - limit.ratio);
}

/** Mixed packs, many small ones, then those that free the most for what they cost until little enough is unused. */
function chooseRepacks(packs: readonly PackUse[], allowedBytes: number): Set<PackUse> {
  const chosen = new Set(packs.filter(({ mixed }) => mixed));
  const small = packs.filter(({ sizeBytes }) => sizeBytes < smallPackBytes);
  if (small.length >= enoughSmallPacks) for (const pack of small) chosen.add(pack);
  let unused = packs.reduce((sum, pack) => sum + (chosen.has(pack) ? 0 : unusedBytes(pack)), 0);
  const byShare = packs
    .filter((pack) => !chosen.has(pack) && unusedBytes(pack) > 0)
    .sort((a, b) => unusedBytes(b) / b.sizeBytes - unusedBytes(a) / a.sizeBytes || (a.id < b.id ? -1 : 1));
  for (const pack of byShare) {
    if (unused <= allowedBytes) break;
    chosen.add(pack);
    unused -= unusedBytes(pack);
  }
  return chosen;
}

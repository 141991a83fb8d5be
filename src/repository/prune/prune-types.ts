import type { HexId } from "../repository.ts";

/** How much unneeded data may stay in packs that also hold needed data: a share of the repository, bytes, or any amount. */
export type UnusedLimit = { readonly ratio: number } | { readonly bytes: number } | "unlimited";

export interface PruneOptions {
  /** Plans only; changes nothing but takes and releases a lock. */
  readonly dryRun?: boolean;
  /** Default 5 %. What is above it is freed by repacking. */
  readonly maxUnused?: UnusedLimit;
  /**
   * How long a pack must have been marked as unneeded before it is deleted. Default 24 h. 0 deletes in this very run what
   * no running process can know.
   */
  readonly safetyMs?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PruneProgress) => void;
}

export interface PruneProgress {
  readonly step: "trees" | "repack" | "delete";
  readonly done: number;
  /** Unknown while trees are read. */
  readonly total?: number;
}

export interface PackGroup {
  readonly packs: number;
  readonly bytes: number;
}

/** What is to become of the packs. Every pack is in exactly one list. */
export interface PrunePlan {
  readonly keep: readonly HexId[];
  /** Needed blobs go into new packs, then the pack is marked. */
  readonly repack: readonly HexId[];
  /** Unneeded from now on. */
  readonly mark: readonly HexId[];
  /** Marked, but needed again. */
  readonly unmark: readonly HexId[];
  /** Marked, and not long enough ago. */
  readonly wait: readonly HexId[];
  readonly delete: readonly HexId[];
  readonly figures: PruneFigures;
}

export interface PruneFigures {
  readonly keep: PackGroup;
  readonly repack: PackGroup;
  readonly mark: PackGroup;
  readonly unmark: PackGroup;
  readonly wait: PackGroup;
  readonly delete: PackGroup;
  /** Bytes that repacking writes anew. */
  readonly bytesRewritten: number;
  /** Bytes that snapshots need. */
  readonly bytesUsed: number;
  /** Bytes that no snapshot needs and that stay, within kept packs. */
  readonly bytesUnusedKept: number;
  /** What deleting frees now, and later what is marked, waiting or repacked now. */
  readonly bytesFreed: number;
  readonly bytesFreedLater: number;
}

export interface PruneReport {
  readonly dryRun: boolean;
  readonly snapshots: number;
  /** As planned. */
  readonly plan: PruneFigures;
  /** As done; nothing in a dry run. */
  readonly deleted: PackGroup;
  /** Due for deletion but kept, and why: a process is at work that may know them, or a new snapshot needs them. */
  readonly heldBack: PackGroup & { readonly reason?: string };
  /** Files that killed writers left half-written, removed. */
  readonly temporariesRemoved: number;
}

import type { SourceId } from "../base/index.ts";
import type { TargetContext } from "./context.ts";
import type { StoredEntry } from "./entry.ts";
import type { SourceDescription } from "./source.ts";

export interface StageReport {
  readonly files: number;
  readonly bytes: number;
  /** Bytes that were there unchanged and not read from the repository. */
  readonly reusedBytes: number;
}

export interface SwapReport {
  readonly durationMs: number;
  /** `{ method: "rename exchange" }`, and where it is not atomic, the gap: `{ method: "rename twice", gapMs: 0.4 }`. */
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** A backup of one component, as it comes back. */
export interface Restorable {
  readonly description: SourceDescription;
  /** In the order of `compareEntryPaths`, root first. */
  readonly entries: AsyncIterable<StoredEntry>;
}

/**
 * The same component, as a restore sees it. Call order: stage, swap, then settle; or revert at any point instead, after
 * swapBack if a swap may have begun.
 *
 * A target keeps no state in memory that a later call needs: names of what is staged follow from
 * `context.operationId`, anything else is written to `context.workDirectory` before it is needed. So after a crash a new
 * instance in a new process is given the same context and told `swapBack`, `revert` or `settle`. All calls are idempotent.
 */
export interface Target {
  readonly id: SourceId;

  /**
   * Loads the backup beside the live data. Minutes; no effect on the environment that a client could notice.
   * @throws HoldfastError SERVICE_*, TOOL_MISSING, TARGET_FULL, ENTRY_UNSAFE, SERVICE_STAGE_FAILED
   */
  stage(context: TargetContext, backup: Restorable): Promise<StageReport>;

  /**
   * Exchanges staged and live data. Runs inside the hold, beside all other targets: milliseconds, never more than
   * `deadlineMs`. If it throws (SERVICE_SWAP_FAILED), the state may be anything that `revert` can undo.
   */
  swap(context: TargetContext, deadlineMs: number): Promise<SwapReport>;

  /**
   * From any state, killed at any point: the old data is live again. Runs inside the hold, so it does no more than that:
   * what was staged may stay for `revert`. What clients write from then on is theirs: called again, and `revert` after
   * it, keep that.
   */
  swapBack(context: TargetContext): Promise<void>;

  /** Does what `swapBack` does, unless it has been done, and drops what is staged: nothing of the restore is left. */
  revert(context: TargetContext): Promise<void>;

  /** After all targets have swapped: drops the old data. Killed and called again, it ends with new data only. */
  settle(context: TargetContext): Promise<void>;
}

import type { SourceId } from "../base/index.ts";
import type { SourceContext } from "./context.ts";
import type { Entry } from "./entry.ts";

/** The moment whose state a source yields. */
export interface FreezePoint {
  readonly at: Date;
  /** How long `freeze` took, milliseconds. */
  readonly durationMs: number;
  /** What a person may want to know: `{ filesChanged: 17 }`, `{ method: "backup stages" }`. No secrets. */
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** What the manifest says of a source. Complete once `read` has been drained. */
export interface SourceDescription {
  /** "postgresql", "mariadb", "redis", "sqlite", "directory", "command", "mount", "code". */
  readonly kind: string;
  /** Of the server or engine: "15.18". */
  readonly engineVersion?: string;
  /** What restore and drills compare: `{ "table:public.orders": 1204, files: 50000, bytes: 2000000000 }`. */
  readonly counts: Readonly<Record<string, number>>;
  /** Hashes or other marks of content, by name. */
  readonly fingerprints: Readonly<Record<string, string>>;
  /** Whatever else the target needs to know to restore, as JSON. No secrets. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/**
 * One component's data, as a backup sees it. A source keeps no state between backups: it is made anew for each.
 *
 * Call order: prepare, freeze, read, describe, dispose. `dispose` may come at any time and more than once.
 */
export interface Source {
  readonly id: SourceId;

  /**
   * Work that needs no pause: open connections, CHECKPOINT, store what is there already. May take minutes.
   * @throws HoldfastError SERVICE_*, TOOL_MISSING, MOUNT_UNUSABLE, CODE_UNUSABLE, COMMAND_FAILED
   */
  prepare(context: SourceContext): Promise<void>;

  /**
   * Fixes the point in time. Runs inside the hold, beside all other sources: aim for 50 ms. Gives up (throws
   * FREEZE_FAILED, having let go of every lock it took) rather than take longer than `deadlineMs`.
   * After it returns, writes to the live data no longer change what `read` yields, and nothing in the service waits.
   */
  freeze(deadlineMs: number): Promise<FreezePoint>;

  /**
   * Yields the frozen state in the order of `compareEntryPaths`, the source's root directory first (empty path).
   * Pulled, never buffered whole; the same state yields the same bytes in the same order. An entry's stream is drained,
   * or the iteration ended, before the next entry is asked for.
   */
  read(signal: AbortSignal): AsyncIterable<Entry>;

  describe(): SourceDescription;

  /**
   * Lets go of everything: connections, locks, processes, settings changed for the backup. Never throws for what is
   * already gone. A new instance on which `recover` is called does the same for what a killed process left behind.
   */
  dispose(): Promise<void>;

  /** For a new instance, after a crash: undoes what the dead process left in the service. Idempotent. */
  recover(context: SourceContext): Promise<void>;
}

import type { Clock, Facts, Logger, OperationId } from "../base/index.ts";
import type { ContentReader, ContentStore, PreviousEntries } from "./content.ts";

/** Something about a backup or restore that a person must see, short of a failure. Kept in the manifest. */
export interface Warning {
  /** What kind: "file-changing", "file-unreadable", "privilege-missing", ... in kebab-case. */
  readonly kind: string;
  /** A sentence with the path or object concerned. */
  readonly message: string;
  readonly facts?: Facts;
}

/** Work done since the last call; the engine adds them up. */
export interface ProgressDelta {
  readonly files?: number;
  readonly bytes?: number;
  /** Newly known work, for the ETA. */
  readonly expectedFiles?: number;
  readonly expectedBytes?: number;
}

interface ComponentContext {
  readonly operationId: OperationId;
  /**
   * Absolute path of a folder for this component in this operation: exists, empty at first, mode 0700. It outlives a
   * crash, so that the next process finds what was written there; the engine removes it after dispose or settle.
   */
  readonly workDirectory: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborted when the operation is cancelled. Not consulted by dispose, revert and settle, which must run. */
  readonly signal: AbortSignal;
  warn(warning: Warning): void;
  progress(delta: ProgressDelta): void;
}

export interface SourceContext extends ComponentContext {
  readonly store: ContentStore;
  readonly previous?: PreviousEntries;
}

export interface TargetContext extends ComponentContext {
  readonly contents: ContentReader;
}

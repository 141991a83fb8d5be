import type { Source } from "../source.ts";
import type { Target } from "../target.ts";

/** A writer that puts records numbered 1, 2, 3, ... one after the other, as an application does. */
export interface Load {
  /** The highest number whose write the service has acknowledged; 0 at first. */
  acknowledged(): number;
  /** Ends the writer. @throws the first error that a write met. */
  stop(): Promise<void>;
}

/** One live component of the conformance suite, with a little data in it. */
export interface ComponentUnderTest {
  /**
   * True if `freeze` alone fixes one moment against concurrent writers (databases); false if it needs the gateway's
   * hold for that (file trees), so that records written beside a running `freeze` may be there with gaps.
   */
  readonly atomicFreeze: boolean;
  /** A new source of the component, as for a new process. */
  source(): Source;
  /** A new target of the component, as for a new process. */
  target(): Target;
  /** Changes live data at once: adds, changes and deletes; a different state for each `n`. Fails if it has to wait for 10 s. */
  mutate(n: number): Promise<void>;
  /** Canonical text of the live data as a client sees it, without what `loadRecords` tells. */
  liveState(): Promise<string>;
  startLoad(): Promise<Load>;
  /** Numbers of the load's records in the live data, ascending. */
  loadRecords(): Promise<number[]>;
  /** What a mishap does: the data is gone or wrong. `liveState` still works. */
  destroyData(): Promise<void>;
  /** Names of anything left behind by sources and targets: scratch databases, folders, processes, sessions, locks. */
  leftovers(): Promise<string[]>;
  /** Removes the component and whatever was started for it. */
  dispose(): Promise<void>;
}

/** Makes a component with data of its own; called for each test. Servers may be shared between calls. */
export type ComponentFactory = () => Promise<ComponentUnderTest>;

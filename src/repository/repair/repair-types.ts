import type { HexId, Snapshot } from "../repository.ts";

export interface RepairOptions {
  /** Plans only; changes nothing but takes and releases a lock. */
  readonly dryRun?: boolean;
  /** Reads and verifies every pack, not only those in doubt: only that finds altered data. */
  readonly readData?: boolean;
  /** Replaces each snapshot that lost data by one without it, and removes those of which nothing is left. */
  readonly forget?: boolean;
  /** A file in the root of snapshots that says what they hold. */
  readonly description?: SnapshotDescription;
  /**
   * A snapshot was replaced: by this one, or by none. Before the old one is removed; called again if the removal was
   * interrupted.
   */
  readonly onReplaced?: (damaged: DamagedSnapshot, replacement: Snapshot | undefined) => Promise<void>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RepairProgress) => void;
}

/** The file that a repaired snapshot describes itself by, which has to say that it is not whole. */
export interface SnapshotDescription {
  /** In the snapshot's root. */
  readonly name: string;
  /** The file's new bytes. */
  readonly amend: (current: Buffer, damaged: DamagedSnapshot) => Buffer;
}

export interface RepairProgress {
  readonly step: "packs" | "trees" | "snapshots";
  readonly done: number;
  /** Unknown while trees are read. */
  readonly total?: number;
}

/** A pack of which not everything can be read. */
export interface DamagedPack {
  readonly id: HexId;
  readonly blobsReadable: number;
  /** Undefined if nobody knows what was in it: its header is damaged, and no index names it. */
  readonly blobsLost: number | undefined;
}

/** A snapshot that lost data. */
export interface DamagedSnapshot {
  readonly snapshot: Snapshot;
  /** The first of them; directories end in "/". */
  readonly paths: readonly string[];
  readonly pathsTotal: number;
  /** How many of them lie at or below each entry of its root. */
  readonly lostBelow: ReadonlyMap<string, number>;
  /** Its root cannot be read. */
  readonly nothingLeft: boolean;
}

export interface RepairReport {
  readonly dryRun: boolean;
  readonly index: {
    /** Index files that cannot be read. */
    readonly undecodable: readonly HexId[];
    /** Index files that are replaced, those included. */
    readonly replaced: readonly HexId[];
    /** Sound packs that no index named. */
    readonly packsAdded: readonly HexId[];
    /** In an index, but not in the storage. */
    readonly packsMissing: readonly HexId[];
    readonly packsDamaged: readonly DamagedPack[];
    /** Blobs copied out of damaged packs, because no sound pack has them. */
    readonly blobsSalvaged: number;
  };
  readonly snapshots: number;
  /** Snapshot files that cannot be read. With `forget` they are removed. */
  readonly snapshotsUndecodable: readonly HexId[];
  readonly damaged: readonly (DamagedSnapshot & { readonly replacement: Snapshot | undefined })[];
}

/** How many paths of a damaged snapshot a report names. */
export const maxReportedPaths = 20;

import type { PackBlob } from "../pack/pack-format.ts";
import type { HexId } from "../repository.ts";

/** What an index file says, in few bytes. */
export interface FoundIndex {
  readonly id: HexId;
  /** Undefined if the file cannot be read. */
  readonly packs: readonly FoundPack[] | undefined;
}

export interface FoundPack {
  readonly id: HexId;
  /** Of the pack that holds exactly what the index lists, blob after blob; undefined if no pack can. */
  readonly sizeBytes: number | undefined;
  readonly fingerprint: string;
}

/** What reading a pack has shown. */
export interface ExaminedPack {
  readonly id: HexId;
  /** All of it can be read, as far as it was read. */
  readonly sound: boolean;
  /** Of a sound pack: what lists its blobs, and their bytes together. */
  readonly header: { readonly plaintext: Buffer; readonly blobBytes: number } | undefined;
  /** Blobs of a pack that is not sound, each verified. */
  readonly readable: readonly PackBlob[];
  /** Undefined if nobody knows what was in it. */
  readonly lost: number | undefined;
}

/** What is known of the repository's packs. */
export interface IndexSurvey {
  readonly indexes: readonly FoundIndex[];
  /** Sizes of the packs in the storage. */
  readonly stored: ReadonlyMap<HexId, number>;
  /** Marked by a prune or by a repair as in no index. */
  readonly markedOrphans: ReadonlySet<HexId>;
  readonly examined: ReadonlyMap<HexId, ExaminedPack>;
}

export interface IndexPlan {
  /** Index files that can be read, and those that can not, whose place new ones take. */
  readonly replace: readonly HexId[];
  readonly undecodable: readonly HexId[];
  /** Packs that only replaced files name, and rightly: new files name them again. */
  readonly keep: ReadonlySet<HexId>;
  /** Sound packs that no index names rightly. */
  readonly add: readonly ExaminedPack[];
  /** What can be read of them goes into new packs, unless a sound pack has it. The files stay, for a prune to delete. */
  readonly salvage: readonly ExaminedPack[];
  /** Damaged packs to mark, so that neither a backup nor the next repair relies on them. */
  readonly mark: readonly HexId[];
  readonly missing: readonly HexId[];
}

/**
 * Packs that have to be looked at before there can be a plan: "header" for those that no index names, "whole" for those
 * whose size or list of blobs cannot be right, and those that were damaged before.
 */
export function packsToExamine({ indexes, stored, markedOrphans }: IndexSurvey): Map<HexId, "header" | "whole"> {
  const seen = new Map<HexId, string>();
  const examine = new Map<HexId, "header" | "whole">();
  for (const { packs } of indexes) {
    for (const { id, sizeBytes, fingerprint } of packs ?? []) {
      const size = stored.get(id);
      if (size === undefined) continue;
      if (sizeBytes !== size || (seen.get(id) ?? fingerprint) !== fingerprint) examine.set(id, "whole");
      seen.set(id, fingerprint);
    }
  }
  for (const id of stored.keys()) {
    if (!seen.has(id)) examine.set(id, markedOrphans.has(id) ? "whole" : "header");
  }
  return examine;
}

/**
 * What makes the index name exactly what can be read. `survey.examined` has at least the packs of `packsToExamine`; of all
 * others the index is right.
 */
export function planIndex({ indexes, stored, markedOrphans, examined }: IndexSurvey): IndexPlan {
  const missing = new Set<HexId>();
  const undecodable: HexId[] = [];
  const replace: HexId[] = [];
  const named = new Set<HexId>();
  const onlyInReplaced = new Set<HexId>();
  const isRight = (id: HexId): boolean => stored.has(id) && !examined.has(id);
  for (const { id: file, packs } of indexes) {
    if (packs === undefined) {
      undecodable.push(file);
      continue;
    }
    for (const { id } of packs) if (!stored.has(id)) missing.add(id);
    if (packs.every(({ id }) => isRight(id))) {
      for (const { id } of packs) named.add(id);
      continue;
    }
    replace.push(file);
    for (const { id } of packs) if (isRight(id)) onlyInReplaced.add(id);
  }
  const packs = Array.from(examined.values());
  const salvage = packs.filter(({ sound }) => !sound);
  return {
    replace,
    undecodable,
    keep: new Set(Array.from(onlyInReplaced).filter((id) => !named.has(id))),
    add: packs.filter(({ sound }) => sound),
    salvage,
    mark: salvage.map(({ id }) => id).filter((id) => !markedOrphans.has(id)),
    missing: Array.from(missing).sort(),
  };
}
